/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rule fires at which request, see ipc/fault_match.h.  Owns the copy of
 * the fault page; counts in the statistics page, where the counts outlive
 * the process: a rule that crashed it once does not do so again.
 */
#include "ipc/fault_match.h"

#include <poll.h>
#include <stddef.h>
#include <string.h>

#include "ipc/log.h"

#define LOG_BURST	20	/* lines a second; counters are exact */

static const struct fault_page no_page;

struct fault_watch fault_watch = { .generation = &no_page.generation };

static struct {
	const struct fault_page *page;
	struct stats_head *head;	/* where they are counted */
	uint32_t generation;	/* of the copy */
	struct fault_page copy;	/* checked */
	struct log_limit limit;
} faults = { .page = &no_page };

void fault_init(const struct fault_page *page, struct stats_head *head)
{
	faults.page = page ? page : &no_page;
	faults.head = head;
	faults.copy.nr_rules = 0;
	faults.generation = 0;
	fault_watch.generation = &faults.page->generation;
	fault_watch.quiet = 0;
}

/* --- the copy ---------------------------------------------------------------- */

static bool rule_is_sound(const struct fault_rule *rule)
{
	return rule->id && rule->action < FAULT_NR_ACTIONS && rule->ops &&
	       !(rule->ops & ~FAULT_ALL_OPS) &&
	       rule->first_sector <= rule->last_sector &&
	       (rule->action != FAULT_CRASH || rule->value < FAULT_NR_POINTS);
}

/* A rule that this page has not counted for starts from nothing. */
static void begin_counting(void)
{
	for (unsigned int i = 0; i < faults.copy.nr_rules; i++) {
		struct stats_fault *counts = &faults.head->fault[i];

		if (counts->id == faults.copy.rule[i].id)
			continue;
		__atomic_store_n(&counts->id, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&counts->seen, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&counts->fired, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&counts->id, faults.copy.rule[i].id,
				 __ATOMIC_RELEASE);
	}
}

/*
 * Take the page as it is now.  While the supervisor writes it, the copy stays
 * as it was, and the next request looks again.
 */
static void refresh(void)
{
	uint32_t generation = __atomic_load_n(&faults.page->generation,
					      __ATOMIC_ACQUIRE);
	struct fault_page next;

	if (generation == faults.generation || generation & 1)
		return;
	memcpy(&next, faults.page, sizeof(next));
	/* Orders the copy before the second look, against fault_page_write(). */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&faults.page->generation, __ATOMIC_RELAXED) !=
	    generation)
		return;
	faults.generation = generation;
	faults.copy.nr_rules = 0;
	for (unsigned int i = 0; i < FAULT_MAX_RULES && i < next.nr_rules; i++)
		if (rule_is_sound(&next.rule[i]))
			faults.copy.rule[faults.copy.nr_rules++] = next.rule[i];
		else
			log_warn("fault rule %u makes no sense, not taken",
				 next.rule[i].id);
	begin_counting();
	/* With rules: a number that the page has left behind for good. */
	__atomic_store_n(&fault_watch.quiet, faults.copy.nr_rules ?
			 generation - 1 : generation, __ATOMIC_RELAXED);
}

/* --- matching ------------------------------------------------------------------ */

static bool in_sectors(const struct fault_rule *rule,
		       const struct fault_request *request)
{
	if (rule->first_sector == 0 && rule->last_sector == UINT64_MAX)
		return true;
	/* No overflow: requests lie within the disk. */
	return request->nr_sectors > 0 &&
	       request->sector <= rule->last_sector &&
	       request->sector + request->nr_sectors - 1 >=
		       rule->first_sector;
}

/* n: requests that matched before this one. */
static bool is_due(const struct fault_rule *rule, uint64_t n, uint64_t fired)
{
	if (n < rule->after)
		return false;
	if (rule->every > 1 && (n - rule->after + 1) % rule->every)
		return false;
	if (rule->probability &&
	    fault_random(rule->seed, n) >> 32 >= rule->probability)
		return false;
	return !rule->count || fired < rule->count;
}

/* One writer, this process; others read. */
static void count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static void log_fired(const struct fault_rule *rule,
		      const struct fault_request *request)
{
	const char *action = fault_action_name(rule->action);
	const char *as = rule->action == FAULT_ENOSPC ?
		" (virtio has no such status: the guest sees eio)" : "";

	if (!log_allowed(&faults.limit, LOG_BURST))
		return;
	if (request->nr_sectors)
		log_info("fault %u fired: %s %s sector %llu+%llu%s", rule->id,
			 action, fault_op_name(request->op),
			 (unsigned long long)request->sector,
			 (unsigned long long)request->nr_sectors, as);
	else
		log_info("fault %u fired: %s %s%s", rule->id, action,
			 fault_op_name(request->op), as);
}

static void fire(const struct fault_rule *rule, uint64_t n,
		 struct fault_set *set)
{
	set->actions |= 1u << rule->action;
	/* Another stream than that of the probabilities. */
	set->random = fault_random(~rule->seed, n);
	if (rule->action == FAULT_CRASH)
		set->value[FAULT_CRASH] |= 1ull << rule->value;
	else
		set->value[rule->action] = rule->value;
}

bool fault_match(uint32_t actions, const struct fault_request *request,
		 struct fault_set *set)
{
	memset(set, 0, sizeof(*set));
	refresh();
	for (unsigned int i = 0; i < faults.copy.nr_rules; i++) {
		const struct fault_rule *rule = &faults.copy.rule[i];
		struct stats_fault *counts = &faults.head->fault[i];
		uint64_t n = counts->seen;

		if (!(actions >> rule->action & 1) ||
		    !(rule->ops >> request->op & 1) ||
		    !in_sectors(rule, request))
			continue;
		count(&counts->seen);
		if (!is_due(rule, n, counts->fired))
			continue;
		count(&counts->fired);
		count(&faults.head->faults_fired);
		log_fired(rule, request);
		fire(rule, n, set);
	}
	return set->actions != 0;
}

bool fault_rule_stands(enum fault_action action)
{
	refresh();
	for (unsigned int i = 0; i < faults.copy.nr_rules; i++)
		if (faults.copy.rule[i].action == action)
			return true;
	return false;
}

/* --- what is the same for all devices --------------------------------------------- */

void fault_crash_at(const struct fault_set *set, enum fault_point point)
{
	if (set->value[FAULT_CRASH] >> point & 1)
		__builtin_trap();
}

void fault_hang(void)
{
	/* poll(2): a negative fd is passed over; nothing ever comes. */
	struct pollfd nobody = { .fd = -1 };

	for (;;)
		ppoll(&nobody, 1, NULL, NULL);
}
