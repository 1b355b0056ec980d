# SPDX-License-Identifier: Apache-2.0
# Completion of outpostctl for bash: commands and options as the program itself names them, mailboxes from its output.

# Lines "noun verb", or "noun".
_outpostctl_commands () {
	outpostctl --help | sed -n '/^Commands:/,/^$/s/^  \(.\{40\}\) .*/\1/p' | sed 's/ *$//; s/ *[[A-Z-].*//'
}

_outpostctl () {
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} first=1
	case $previous in
	-d | --dir) COMPREPLY=($(compgen -d -- "$word")); return ;;
	esac
	while [[ ${COMP_WORDS[first]} == -* && $first -lt $COMP_CWORD ]]; do
		[[ ${COMP_WORDS[first]} == -d || ${COMP_WORDS[first]} == --dir ]] && first=$((first + 1))
		first=$((first + 1))
	done
	if [[ $word == -* ]]; then
		COMPREPLY=($(compgen -W "$(outpostctl --help | sed -n 's/^  *\(-., \)\{0,1\}\(--[a-z][a-z-]*\).*/\2/p')" -- "$word"))
	elif [ "$COMP_CWORD" = "$first" ]; then
		COMPREPLY=($(compgen -W "$(_outpostctl_commands | sed 's/ .*//' | sort -u)" -- "$word"))
	elif [ "$COMP_CWORD" = $((first + 1)) ] && _outpostctl_commands | grep -q "^${COMP_WORDS[first]} "; then
		COMPREPLY=($(compgen -W "$(_outpostctl_commands | sed -n "s/^${COMP_WORDS[first]} //p")" -- "$word"))
	else
		COMPREPLY=($(compgen -W "$(outpostctl "${COMP_WORDS[@]:1:first - 1}" mailbox list 2>/dev/null | sed 's/ .*//')" -- "$word"))
	fi
}
complete -F _outpostctl outpostctl
