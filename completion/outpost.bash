# SPDX-License-Identifier: Apache-2.0
# Completion of outpost for bash: verbs and options as the program itself names them, folders and profiles from its output.

_outpost_verbs () {
	outpost --help | sed -n '/^Verbs:/,/^$/s/^  \(.\{15\}\) .*/\1/p' | sed 's/ *$//'
}

_outpost () {
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]} IFS=$'\n'
	case $previous in
	-p | --profile)
		COMPREPLY=($(compgen -W "$(outpost profile list 2>/dev/null | sed 's/ .*//')" -- "$word"))
		return ;;
	--format) COMPREPLY=($(compgen -W $'maildir\nmbox\ntar' -- "$word")); return ;;
	--stale-store) COMPREPLY=($(compgen -W $'adopt\nreport\nreplace' -- "$word")); return ;;
	esac
	if [ "$COMP_CWORD" = 1 ]; then
		COMPREPLY=($(compgen -W "$(_outpost_verbs | sed 's/ .*//' | sort -u)" -- "$word"))
		return
	fi
	case $verb in
	folder | profile | store)
		if [ "$COMP_CWORD" = 2 ]; then
			COMPREPLY=($(compgen -W "$(_outpost_verbs | sed -n "s/^$verb //p")" -- "$word"))
			return
		fi
		verb="$verb ${COMP_WORDS[2]}" ;;
	esac
	case $word in
	-*)
		IFS=' '
		local help=$(outpost $verb --help 2>/dev/null)
		IFS=$'\n'
		COMPREPLY=($(compgen -W "$(sed -n 's/^  *\(-., \)\{0,1\}\(--[a-z][a-z-]*\).*/\2/p' <<<"$help")" -- "$word"))
		return ;;
	esac
	case $verb in
	list | move | copy | add | resolve | "folder rename" | "folder delete")
		local folder
		while read -r folder; do
			[[ $folder == "$word"* ]] && COMPREPLY+=("$(printf %q "$folder")")
		done < <(outpost folders --json 2>/dev/null | sed -n 's/.*"name":"\([^"]*\)".*/\1/p')
		;;
	*) COMPREPLY=($(compgen -f -- "$word")) ;;
	esac
}
complete -F _outpost outpost
