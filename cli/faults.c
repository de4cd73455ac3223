/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault pages and the rules in them, see cli/faults.h.  A page stays mapped
 * here for the VM's life; the others can map it for reading only, even if they
 * get hold of its fd (F_SEAL_FUTURE_WRITE).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/children.h"
#include "cli/fault_parse.h"
#include "cli/faults.h"
#include "cli/resources.h"
#include "ipc/pages.h"

/* Who has a page: the core is number 0, device n is n + 1, as child->index. */
#define MAX_TARGETS	(1 + LIFE_MAX_DEVICES)

/* A rule on its way in. */
struct new_rule {
	unsigned int target;
	struct fault_rule rule;
};

/* All that a VM can have. */
#define MAX_NEW_RULES	(MAX_TARGETS * FAULT_MAX_RULES)

struct batch {
	struct new_rule rule[MAX_NEW_RULES];
	unsigned int nr;
	unsigned int nr_of[MAX_TARGETS];	/* those there already too */
};

static struct child *target(struct vm *vm, unsigned int index)
{
	return index ? &vm->device[index - 1].child : &vm->core;
}

/* --- into the pages ------------------------------------------------------------ */

static struct batch *batch_new(struct vm *vm, bool clear)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	for (unsigned int i = 0; batch && !clear && i <= vm->nr_devices; i++)
		if (target(vm, i)->faults)
			batch->nr_of[i] = target(vm, i)->faults->nr_rules;
	return batch;
}

static void put(struct vm *vm, const struct new_rule *new_rule)
{
	struct fault_page *page = target(vm, new_rule->target)->faults;
	struct fault_rule rules[FAULT_MAX_RULES];
	unsigned int nr = page->nr_rules;

	memcpy(rules, page->rule, nr * sizeof(*rules));
	rules[nr] = new_rule->rule;
	rules[nr].id = ++vm->last_fault_id;
	rules[nr].seed = fault_random(vm->fault_seed, vm->nr_fault_seeds++);
	fault_page_write(page, rules, nr + 1);
}

static void clear(struct vm *vm)
{
	vm->nr_fault_seeds = 0;
	for (unsigned int i = 0; i <= vm->nr_devices; i++)
		if (target(vm, i)->faults)
			fault_page_write(target(vm, i)->faults, NULL, 0);
}

static void apply(struct vm *vm, const struct faults_change *change,
		  const struct batch *batch)
{
	bool core = false;

	if (change->clear)
		clear(vm);
	if (change->reseed) {
		vm->fault_seed = change->seed;
		vm->nr_fault_seeds = 0;
	}
	for (unsigned int i = 0; i < batch->nr; i++) {
		put(vm, &batch->rule[i]);
		core |= batch->rule[i].target == vm->core.index;
	}
	/* A guest that runs or sleeps by itself never comes out to look. */
	if (core)
		child_interrupt(&vm->core);
}

/* --- from text ------------------------------------------------------------------ */

static struct child *find_target(struct vm *vm, const char *name, size_t len)
{
	for (unsigned int i = 0; i <= vm->nr_devices; i++)
		if (strlen(target(vm, i)->name) == len &&
		    !memcmp(target(vm, i)->name, name, len))
			return target(vm, i);
	return NULL;
}

static int no_device(struct vm *vm, unsigned int column,
		     const char *name, size_t len, char *why)
{
	int used = snprintf(why, VM_WHY_MAX,
			    "column %u: no device '%.*s'; there are", column,
			    len < 24 ? (int)len : 24, name);

	for (unsigned int i = 0; i <= vm->nr_devices && used < VM_WHY_MAX; i++)
		used += snprintf(why + used, VM_WHY_MAX - (size_t)used,
				 "%s %s", i ? "," : "", target(vm, i)->name);
	return -EINVAL;
}

static int take_rule(struct vm *vm, const char *line, struct batch *batch,
		     char why[VM_WHY_MAX])
{
	const char *name = line + strspn(line, " \t");
	size_t len = strcspn(name, " \t");
	unsigned int column = (unsigned int)(name - line) + 1;
	const struct child *child = find_target(vm, name, len);

	if (!child)
		return no_device(vm, column, name, len, why);
	if (!child->faults) {
		snprintf(why, VM_WHY_MAX,
			 "column %u: %s has a foreign back-end, which takes no faults",
			 column, child->name);
		return -EINVAL;
	}
	if (batch->nr_of[child->index] == FAULT_MAX_RULES) {
		snprintf(why, VM_WHY_MAX,
			 "column %u: %s has %d rules, and there is room for no more; --clear first",
			 column, child->name, FAULT_MAX_RULES);
		return -EINVAL;
	}
	batch->nr_of[child->index]++;
	batch->rule[batch->nr].target = child->index;
	return fault_parse(name + len, column + (unsigned int)len, child->role,
			   &batch->rule[batch->nr++].rule, why);
}

static int take_script(struct vm *vm, char *text, struct batch *batch,
		       char why[VM_WHY_MAX])
{
	char wrong[VM_WHY_MAX];
	unsigned int number = 1;
	int ret = 0;

	for (; !ret && text; number++) {
		char *line = strsep(&text, "\n");

		line[strcspn(line, "\r")] = '\0';
		if (line[0] == '#' || line[strspn(line, " \t")] == '\0')
			continue;
		ret = take_rule(vm, line, batch, wrong);
		if (ret)
			snprintf(why, VM_WHY_MAX, "line %u, %.480s", number,
				 wrong);
	}
	return ret;
}

int faults_change(struct vm *vm, const struct faults_change *change,
		  char why[VM_WHY_MAX])
{
	struct batch *batch = batch_new(vm, change->clear);
	char *copy = strdup(change->rules ? change->rules : "");
	int ret = 0;

	if (!batch || !copy) {
		snprintf(why, VM_WHY_MAX, "out of memory");
		ret = -ENOMEM;
	} else if (change->script) {
		ret = take_script(vm, copy, batch, why);
	} else if (change->rules) {
		ret = take_rule(vm, copy, batch, why);
	}
	if (!ret)
		apply(vm, change, batch);
	free(copy);
	free(batch);
	return ret;
}

/* --- the life of the pages -------------------------------------------------------- */

static int open_page(struct child *child, char why[VM_WHY_MAX])
{
	void *page;

	child->fault_fd = memory_make_shown("bulkhead-faults",
					    FAULT_PAGE_BYTES, &page);
	if (child->fault_fd < 0) {
		snprintf(why, VM_WHY_MAX, "cannot make a memfd: %s",
			 strerror(-child->fault_fd));
		return child->fault_fd;
	}
	child->faults = page;
	return 0;
}

int faults_open(struct vm *vm, char why[VM_WHY_MAX])
{
	const struct config *cfg = vm->cfg;

	/* Foreign back-ends are no children of ours, and get none. */
	for (struct child *c = vm_next_child(vm, NULL); c;
	     c = vm_next_child(vm, c)) {
		int ret = open_page(c, why);

		if (ret)
			return ret;
	}
	vm->fault_seed = cfg->fault_seed;
	for (unsigned int i = 0; i < cfg->nr_faults; i++) {
		unsigned int device = cfg->fault[i].device;
		struct new_rule rule = {
			device == CONFIG_CORE ? vm->core.index : device + 1,
			cfg->fault[i].rule
		};

		put(vm, &rule);
	}
	return 0;
}

void faults_close(struct vm *vm)
{
	for (struct child *c = vm_next_child(vm, NULL); c;
	     c = vm_next_child(vm, c)) {
		if (c->faults)
			munmap(c->faults, FAULT_PAGE_BYTES);
		if (c->fault_fd >= 0)
			close(c->fault_fd);
		c->faults = NULL;
		c->fault_fd = -1;
	}
}

/* The statistics page is the child's: what it says may be anything. */
struct stats_fault faults_counts(const struct child *child, unsigned int index)
{
	struct stats_fault counts = { 0 };
	off_t offset = (off_t)(offsetof(struct stats_head, fault) +
			       index * sizeof(counts));

	if (pread(child->stats_fd, &counts, sizeof(counts), offset) !=
		    sizeof(counts) ||
	    counts.id != child->faults->rule[index].id)
		counts = (struct stats_fault){ 0 };
	return counts;
}
