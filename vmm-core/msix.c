/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X of one function (core process, vCPU threads).  See msix.h.
 *
 * No code here runs when an interrupt is sent (D6): KVM reads the eventfd.
 * Only masking, unmasking and the pending bits pass through this file.
 */
#include "vmm-core/msix.h"

#include <linux/pci_regs.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "ipc/kernel_calls.h"
#include "ipc/log.h"
#include "vmm-core/irq.h"

#define WORD_DATA	(PCI_MSIX_ENTRY_DATA / 4)
#define WORD_CTRL	(PCI_MSIX_ENTRY_VECTOR_CTRL / 4)

static bool is_signalled(int event_fd)
{
	const struct timespec at_once = { 0 };
	struct pollfd pfd = { .fd = event_fd, .events = POLLIN };

	return ppoll(&pfd, 1, &at_once, NULL) > 0 && pfd.revents & POLLIN;
}

/*
 * The back-end holds these eventfds too.  None of Bulkhead's devices has a
 * system call to make them blocking, but a foreign back-end may have, and may
 * read them before us: so it is this call that does not block.
 */
bool msix_drain(int event_fd)
{
	uint64_t count;

	return kernel_read_flags(event_fd, &count, sizeof(count),
				 RWF_NOWAIT) == sizeof(count);
}

static bool can_fire(const struct msix *msix, unsigned int vector)
{
	return vector < msix->nr_vectors && msix->enabled &&
	       !msix->function_masked &&
	       !(msix->vector[vector].word[WORD_CTRL] &
		 PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

static void complain(struct msix *msix, int err, unsigned int vector)
{
	if (msix->complained)
		return;
	msix->complained = true;
	log_perr(-err, "%s: KVM refused interrupt vector %u, which stays silent",
		 msix->name, vector);
}

/* Address and data of the entry to KVM.  KVM checks nothing of them. */
static int route(const struct msix_vector *vector)
{
	return irq_set_msi(vector->gsi,
			   (uint64_t)vector->word[1] << 32 | vector->word[0],
			   vector->word[WORD_DATA]);
}

/* Bring KVM's view of one source in line with the table. */
static void update_source(struct msix *msix, struct msix_source *source)
{
	bool want = can_fire(msix, source->vector);
	int err;

	if (want == source->assigned)
		return;
	if (want) {
		const struct msix_vector *vector =
			&msix->vector[source->vector];

		err = route(vector);
		if (!err)
			err = irq_assign_fd(vector->gsi, source->event_fd);
		if (err) {
			complain(msix, err, source->vector);
			return;
		}
	} else {
		irq_deassign_fd(msix->vector[source->vector].gsi,
				source->event_fd);
	}
	source->assigned = want;
}

static void update_all(struct msix *msix)
{
	for (unsigned int i = 0; i < msix->nr_sources; i++)
		update_source(msix, &msix->source[i]);
}

int msix_init(struct msix *msix, const char *name, const int *event_fds,
	      unsigned int nr)
{
	memset(msix, 0, sizeof(*msix));
	msix->name = name;
	for (unsigned int i = 0; i < nr; i++) {
		int gsi = irq_alloc_msi();

		if (gsi < 0)
			return gsi;
		msix->vector[i].gsi = (unsigned int)gsi;
		/* PCI 3.0, 6.8.2.9: masked after reset */
		msix->vector[i].word[WORD_CTRL] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
		msix->source[i].event_fd = event_fds[i];
		msix->source[i].vector = MSIX_NO_VECTOR;
	}
	msix->nr_vectors = nr;
	msix->nr_sources = nr;
	return 0;
}

void msix_set_control(struct msix *msix, uint16_t control)
{
	msix->enabled = control & PCI_MSIX_FLAGS_ENABLE;
	msix->function_masked = control & PCI_MSIX_FLAGS_MASKALL;
	update_all(msix);
}

uint32_t msix_table_read(const struct msix *msix, uint32_t offset,
			 unsigned int size)
{
	const struct msix_vector *vector =
		&msix->vector[offset / PCI_MSIX_ENTRY_SIZE];
	uint32_t value = vector->word[offset % PCI_MSIX_ENTRY_SIZE / 4];

	value >>= 8 * (offset & 3);
	return size == 4 ? value : value & ((1u << 8 * size) - 1);
}

void msix_table_write(struct msix *msix, uint32_t offset, unsigned int size,
		      uint32_t value)
{
	unsigned int index = offset / PCI_MSIX_ENTRY_SIZE;
	unsigned int word = offset % PCI_MSIX_ENTRY_SIZE / 4;
	struct msix_vector *vector = &msix->vector[index];

	/* PCI 3.0, 6.8.2: only whole dwords are defined */
	if (size != 4)
		return;
	if (word == WORD_CTRL)
		value &= PCI_MSIX_ENTRY_CTRL_MASKBIT;	/* the rest reserved */
	if (vector->word[word] == value)
		return;
	vector->word[word] = value;
	if (word == WORD_CTRL) {
		update_all(msix);
		return;
	}
	/* A guest that does not mask first gets what it wrote so far. */
	if (can_fire(msix, index)) {
		int err = route(vector);

		if (err)
			complain(msix, err, index);
	}
}

/* A bit per vector: signalled, and not on its way through KVM. */
static uint64_t pending_bits(const struct msix *msix)
{
	uint64_t bits = 0;

	for (unsigned int i = 0; i < msix->nr_sources; i++) {
		const struct msix_source *source = &msix->source[i];

		if (source->vector < msix->nr_vectors && !source->assigned &&
		    is_signalled(source->event_fd))
			bits |= 1ull << source->vector;
	}
	return bits;
}

_Static_assert(MSIX_MAX_VECTORS <= 64, "pending_bits() has one word");

uint32_t msix_pba_read(const struct msix *msix, uint32_t offset,
		       unsigned int size)
{
	uint32_t value = (uint32_t)(pending_bits(msix) >> 8 * (offset & 7));

	return size == 4 ? value : value & ((1u << 8 * size) - 1);
}

uint16_t msix_bind(struct msix *msix, unsigned int source, uint16_t vector)
{
	struct msix_source *s = &msix->source[source];

	if (vector >= msix->nr_vectors)
		vector = MSIX_NO_VECTOR;
	if (vector == s->vector)
		return vector;
	if (s->assigned) {
		irq_deassign_fd(msix->vector[s->vector].gsi, s->event_fd);
		s->assigned = false;
	}
	/* What was signalled while nothing was mapped has been of no use. */
	if (s->vector == MSIX_NO_VECTOR)
		msix_drain(s->event_fd);
	s->vector = vector;
	update_source(msix, s);
	return vector;
}

void msix_unbind_all(struct msix *msix)
{
	for (unsigned int i = 0; i < msix->nr_sources; i++) {
		msix_bind(msix, i, MSIX_NO_VECTOR);
		msix_drain(msix->source[i].event_fd);
	}
}

bool msix_take_unsent(struct msix *msix, unsigned int nr)
{
	bool any = false;

	if (msix->enabled)
		return false;
	for (unsigned int i = 0; i < nr; i++)
		any |= msix_drain(msix->source[i].event_fd);
	return any;
}
