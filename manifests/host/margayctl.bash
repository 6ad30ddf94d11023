# SPDX-License-Identifier: Apache-2.0
# Completion of margayctl for bash. Verbs come from margayctl itself, names of objects from the store.
# shellcheck shell=bash disable=SC2207  # words without blanks

_margayctl_verbs()
{
	margayctl --help 2>/dev/null | sed -n 's/^  \([a-z]*\)\( [a-z]*\)\?  *[a-z].*/\1\2/p'
}

_margayctl()
{
	local current=${COMP_WORDS[COMP_CWORD]} first=${COMP_WORDS[1]}
	local kinds="felixconfigurations globalnetworkpolicies ipamconfigurations ippools ipreservations namespaces
		networkpolicies nodes pods serviceaccounts workloadendpoints"

	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		COMPREPLY=($(compgen -W "$(_margayctl_verbs | cut -d' ' -f1 | sort -u)" -- "$current"))
		return
	fi
	if [ "${COMP_WORDS[COMP_CWORD - 1]}" = -o ]; then
		COMPREPLY=($(compgen -W "wide json yaml name" -- "$current"))
		return
	fi
	case $first in
	get | delete | label | patch)
		if [ "$COMP_CWORD" = 2 ]; then
			COMPREPLY=($(compgen -W "$kinds" -- "$current"))
		elif [ "${current#-}" = "$current" ]; then
			COMPREPLY=($(compgen -W "$(margayctl get "${COMP_WORDS[2]}" -A -o name 2>/dev/null |
				sed 's|.*/||')" -- "$current"))
		fi
		;;
	apply | create | replace | validate)
		if [ "${COMP_WORDS[COMP_CWORD - 1]}" = -f ]; then
			COMPREPLY=($(compgen -f -- "$current"))
		else
			COMPREPLY=($(compgen -W "-f -R -n --confirm" -- "$current"))
		fi
		;;
	monitor)
		COMPREPLY=($(compgen -W "--from --to --verdict --kernel-drops --pcap --count -o" -- "$current"))
		;;
	*)
		if [ "$COMP_CWORD" = 2 ]; then
			COMPREPLY=($(compgen -W "$(_margayctl_verbs | sed -n "s/^$first //p")" -- "$current"))
		fi
		;;
	esac
}

complete -o default -F _margayctl margayctl
