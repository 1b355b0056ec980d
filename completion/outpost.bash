# SPDX-License-Identifier: Apache-2.0
# Completion of outpost for bash: verbs and options as the program itself names them, folders and profiles from its output.

_outpost_verbs () {
	outpost --help | sed -n '/^Verbs:/,/^$/s/^  \(.\{15\}\) .*/\1/p' | sed 's/ *$//'
}

# Names of folders, one a line.
_outpost_folders () {
	outpost "$@" folders --json 2>/dev/null | sed -n 's/.*"name":"\(\([^"\\]\|\\.\)*\)".*/\1/p' | sed 's/\\\(.\)/\1/g'
}

# Of the lines of standard input those that go on with $1, which may be quoted, as the shell reads them.
_outpost_names () {
	local name begun=${1#[\"\']}
	[[ $begun == "$1" ]] && begun=${begun//\\/}
	while read -r name; do
		[[ $name == "$begun"* ]] && if [[ $1 == [\"\']* ]]; then COMPREPLY+=("$name"); else COMPREPLY+=("$(printf %q "$name")"); fi
	done
}

_outpost () {
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} at=1 profile=() IFS=$'\n'
	while [[ ${COMP_WORDS[at]} == -* && at -lt COMP_CWORD ]]; do
		if [[ ${COMP_WORDS[at]} == -p || ${COMP_WORDS[at]} == --profile ]]; then
			((at++))
			[[ ${COMP_WORDS[at]} == = ]] && ((at++))
			profile=(--profile "${COMP_WORDS[at]}")
		fi
		((at++))
	done
	local verb=${COMP_WORDS[at]}
	if [[ $previous == = ]]; then # a word of its own for bash
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	elif [[ $word == = ]]; then
		word=
	fi
	case $previous in
	-p | --profile)
		_outpost_names "$word" < <(outpost profile list 2>/dev/null | sed 's/ .*//')
		return ;;
	--format) COMPREPLY=($(compgen -W $'maildir\nmbox\ntar' -- "$word")); return ;;
	--stale-store) COMPREPLY=($(compgen -W $'adopt\nreport\nreplace' -- "$word")); return ;;
	esac
	if [[ $verb == sync && $previous == @(-f|--folder) ]]; then
		_outpost_names "$word" < <(_outpost_folders "${profile[@]}")
		return
	fi
	if ((COMP_CWORD <= at)); then
		COMPREPLY=($(compgen -W "$(_outpost_verbs | sed 's/ .*//' | sort -u)" -- "$word"))
		return
	fi
	case $verb in
	folder | profile | store)
		if ((COMP_CWORD == at + 1)); then
			COMPREPLY=($(compgen -W "$(_outpost_verbs | sed -n "s/^$verb //p")" -- "$word"))
			return
		fi
		verb="$verb ${COMP_WORDS[at + 1]}" ;;
	esac
	case $word in
	-*)
		IFS=' '
		local help=$(outpost $verb --help 2>/dev/null)
		IFS=$'\n'
		COMPREPLY=($(compgen -W "$(sed -n 's/^  *\(-., \)\{0,1\}\(--[a-z][a-z-]*\).*/\2/p' <<<"$help")" -- "$word"))
		return ;;
	esac
	[[ $verb == add && COMP_CWORD -gt at+1 ]] && verb=files
	case $verb in
	list | move | copy | add | resolve | "folder rename" | "folder delete") _outpost_names "$word" < <(_outpost_folders "${profile[@]}") ;;
	flag | unflag) COMPREPLY=($(compgen -W $'seen\nanswered\nflagged\ndraft' -- "$word")) ;;
	"profile show" | "profile delete") _outpost_names "$word" < <(outpost profile list 2>/dev/null | sed 's/ .*//') ;;
	*) COMPREPLY=($(compgen -f -- "$word")) ;;
	esac
}
complete -F _outpost outpost
