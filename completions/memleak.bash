# bash completion for memleak                             -*- shell-script -*-
# SPDX-License-Identifier: BSD-2-Clause

_memleak_pids() {
	local stat
	for stat in /proc/[0-9]*; do
		[ -e "$stat/exe" ] && printf '%s\n' "${stat#/proc/}"
	done
}

_memleak() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i
	COMPREPLY=()

	# Behind "--" stands a command with words of its own.
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [ "${COMP_WORDS[i]}" = -- ]; then
			if ((i + 1 == COMP_CWORD)); then
				mapfile -t COMPREPLY < <(compgen -c -- "$current")
			else
				mapfile -t COMPREPLY < <(compgen -f -- "$current")
			fi
			return
		fi
	done

	case $previous in
	-p | --pid)
		mapfile -t COMPREPLY < <(compgen -W "$(_memleak_pids)" -- "$current")
		return ;;
	-c | --command)
		mapfile -t COMPREPLY < <(compgen -c -- "$current")
		return ;;
	-w | --output | --suppressions | --baseline | -O | --obj)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return ;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W 'size count' -- "$current")
		return ;;
	--format)
		mapfile -t COMPREPLY < <(compgen -W 'text json folded pprof heaptrack svg html' -- "$current")
		return ;;
	--color)
		mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$current")
		return ;;
	--backend)
		mapfile -t COMPREPLY < <(compgen -W 'auto bpf agent' -- "$current")
		return ;;
	--at | --from | --to)
		mapfile -t COMPREPLY < <(compgen -W 'start end mark' -- "$current")
		return ;;
	-o | --older | -z | --min-size | -Z | --max-size | -s | --sample-rate | --sample-bytes | \
		-T | --top | --stack-storage-size | --perf-max-stack-depth | --max-blocks | \
		--max-overhead | \
		--container | -S | --symbols-prefix | --alloc-fn | --free-fn)
		return ;;
	esac

	case ${COMP_WORDS[1]} in
	report | diff)
		if [[ $current != -* ]]; then
			mapfile -t COMPREPLY < <(compgen -f -X '!*.ml' -- "$current"
				compgen -d -- "$current")
			return
		fi ;;
	esac

	mapfile -t COMPREPLY < <(compgen -W '--pid --command --container --follow --obj
		--symbols-prefix --alloc-fn --free-fn --percpu --wa-missing-free --older
		--min-size --max-size --sample-rate --sample-bytes --top --sort --show-allocs
		--combined-only --trace --json --format --output --color --live --fail-on-leak --suppressions
		--wrapper --baseline --since-mark --at --from --to
		--backend --max-overhead --repair --stack-storage-size --perf-max-stack-depth --max-blocks --verbose
		--help --version -- doctor report diff' -- "$current")
}

complete -F _memleak memleak
