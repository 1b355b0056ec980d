/* SPDX-License-Identifier: Apache-2.0 */
/* Move Mailbox between two servers that share a directory (src/outpostd/move.c), for spin: whoever moves may die at each step, and be started again, cancelled, or
 * recovered by the starting server, two of them at the same time; sessions go on writing wherever they are let.
 *   always: a write is taken only by the home; whatever was answered is in the home's store; the home's store is in its place
 *   in the end: the move is done or cancelled, and nothing is sealed or waits at the home
 * With -DNO_SEAL, -DNO_ORDER or -DNO_LOCK the protocol lacks something, and must fail: tests/system/test_model.py looks that it does. */

#ifndef DEATHS
#define DEATHS 2 /* and failures */
#endif
#ifndef CHOICES
#define CHOICES 1 /* each starter does something else than to resume so often */
#endif

mtype = { PREPARED, COPYING, CATCHING_UP, FENCED, COMMITTED, CANCELLING, DONE, CANCELLED };
mtype = { SOURCE, TARGET };
mtype = { RESUME, CANCEL, RECOVER };

/* The directory: one transaction changes both. */
mtype state = PREPARED, home = SOURCE;

/* Disks; contents are sets of writes, by bit. */
byte at_source = 0, copy = 0, at_target = 0;
bool source_placed = true, sealed = false; /* away: what the home took before */
bool copy_there = false, target_placed = false;

bool fenced = false; /* the source's write lock: a process has it, and loses it with its life */
bool locked = false; /* the move's: the same */
byte answered = 0, lost = 0;

#define over (state == DONE || state == CANCELLED)
#define contains(a, b) (((a) & (b)) == (b))

/* A session at the source began while that was the home. It keeps the store open, wherever that is renamed to. */
proctype at_the_source (byte w)
{
	atomic {
		if
		:: home == SOURCE && source_placed -> skip
		:: else -> goto end
		fi
	}
	atomic {
		!fenced; /* else it waits */
		if
		:: !sealed ->
			at_source = at_source | w;
			answered = answered | w;
			assert (home == SOURCE)
		:: else -> skip /* it is told that the mailbox is elsewhere */
		fi
	}
end:	skip
}

proctype at_the_target (byte w)
{
	atomic {
		home == TARGET || over;
		if
		:: home == TARGET ->
			assert (target_placed);
			at_target = at_target | w;
			answered = answered | w
		:: else -> skip
		fi
	}
}

/* Who logs on anywhere is sent to the home. */
active proctype reader ()
{
end:	do
	:: atomic {
		assert (home == TARGET || (source_placed && contains (at_source, answered)));
		assert (home == SOURCE || (target_placed && contains (at_target, answered)));
		assert (!(home == TARGET && source_placed) || sealed)
	   }
	   if
	   :: over -> break
	   :: else -> skip
	   fi
	od
}

inline step ()
{
	if
	:: lost < DEATHS -> lost++; goto dies
	:: true
	fi
}

/* CONFLICT if another one was quicker. */
inline enter (from, next)
{
	step ();
	atomic {
		if
		:: state == from ->
			state = next;
			if
			:: next == COMMITTED -> home = TARGET
			:: else -> skip
			fi
		:: else -> goto fails
		fi
	}
	step ()
}

inline let_go ()
{
	atomic { /* what a process has goes with it */
		if
		:: holds_fence -> fenced = false; holds_fence = false
		:: else -> skip
		fi;
		if
		:: holds_lock -> locked = false; holds_lock = false
		:: else -> skip
		fi
	}
}

inline take_back ()
{
	if
	:: state == COMMITTED -> goto ends
	:: state == CANCELLING -> skip
	:: else -> enter (state, CANCELLING)
	fi;
	sealed = false;
	step ();
	copy_there = false;
	step ();
	target_placed = false;
	enter (CANCELLING, CANCELLED);
	goto ends
}

active [2] proctype mover ()
{
	byte choices = 0;
	mtype what;
	bool holds_fence = false, holds_lock = false;
start:	if
	:: over -> goto finished
	:: choices < CHOICES -> choices++; what = CANCEL
	:: choices < CHOICES -> choices++; what = RECOVER
	:: true -> what = RESUME
	fi;
#ifndef NO_LOCK
	atomic { /* another one has it: this one is told so, and tries again some time */
		!locked || over;
		if
		:: over -> goto finished
		:: else -> locked = true; holds_lock = true
		fi
	}
#endif
	if
	:: over -> goto ends
	:: else -> skip
	fi;
	if
	:: what == CANCEL -> take_back ()
	:: what == RECOVER && (state == FENCED || state == CANCELLING) -> take_back ()
	:: what == RECOVER && state == COMMITTED -> goto away
	:: what == RECOVER && state != FENCED && state != CANCELLING && state != COMMITTED -> goto ends
	:: what == RESUME && state == CANCELLING -> take_back ()
	:: what == RESUME && state == COMMITTED -> goto away
	:: what == RESUME && state != CANCELLING && state != COMMITTED -> skip
	fi;
	if
	:: state == FENCED && target_placed -> atomic { copy = at_target; copy_there = true; target_placed = false } step ()
	:: else -> skip
	fi;
	if
	:: state == PREPARED -> enter (PREPARED, COPYING)
	:: else -> skip
	fi;
	if
	:: !copy_there -> atomic { copy = at_source; copy_there = true }
	:: else -> skip
	fi;
	if
	:: state == COPYING -> enter (COPYING, CATCHING_UP)
	:: else -> skip
	fi;
	copy = at_source;
	step ();
	if
	:: state == CATCHING_UP -> enter (CATCHING_UP, FENCED)
	:: else -> skip
	fi;
	atomic { !fenced; fenced = true; holds_fence = true }
	step ();
	copy = at_source;
	if
	:: lost < DEATHS -> lost++; goto fails /* not equal, a full disk */
	:: true
	fi;
#ifdef NO_ORDER
	sealed = true;
	atomic { fenced = false; holds_fence = false }
	enter (FENCED, COMMITTED);
	atomic { at_target = copy; target_placed = true; copy_there = false }
#else
	atomic { at_target = copy; target_placed = true; copy_there = false }
	step ();
#ifndef NO_SEAL
	sealed = true;
#endif
	atomic { fenced = false; holds_fence = false }
	enter (FENCED, COMMITTED);
#endif
away:	source_placed = false;
	enter (COMMITTED, DONE);
	goto ends;
fails:	if
	:: state == FENCED -> take_back ()
	:: else -> goto ends
	fi;
dies:
ends:	let_go ();
	goto start;
finished:
	let_go ()
}

init
{
	atomic {
		run at_the_source (1);
		run at_the_source (2);
		run at_the_target (4)
	}
}

ltl ends { <> over }
ltl sound { [] (over -> (home == TARGET || !sealed)) }
