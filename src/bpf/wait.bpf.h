/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/** How a thread waits, in a program that may sleep, until the tool has dealt with an event. Part of
 * user.bpf.c. */

struct tool_wait {
	uint64_t asked_ns; /* the event's time */
	uint64_t ip;
	uint32_t whose; /* process or thread */
	char byte;
};

/* The end of a round of bpf_loop(): 1, no more of them, when @limit_ns are over. */
static __always_inline long wait_on(struct tool_wait *wait, uint64_t limit_ns)
{
	/* For its cond_resched() in __get_user_pages() (mm/gup.c): the tool may need this CPU, and
	 * attaching a probe waits until each CPU has rescheduled. */
	bpf_copy_from_user_task(&wait->byte, 1, (void *)wait->ip, bpf_get_current_task_btf(), 0);
	return bpf_ktime_get_ns() - wait->asked_ns > limit_ns;
}
