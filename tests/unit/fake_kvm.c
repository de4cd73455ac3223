/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for KVM in unit tests of the core.  See fake_kvm.h. */
#include "tests/unit/fake_kvm.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "vmm-core/irq.h"

#define MAX_FDS		128
#define MAX_MESSAGES	64

struct pairing {
	int event_fd;
	uint64_t key;		/* GSI, or a doorbell's address */
};

struct message {
	uint64_t address;
	uint32_t data;
	unsigned int count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int refusal;
static unsigned int nr_gsis;
static struct {
	uint64_t address;
	uint32_t data;
} route[IRQ_MAX_MSI];
static struct pairing irqfd[MAX_FDS];
static unsigned int nr_irqfds;
static struct pairing bell[MAX_FDS];
static unsigned int nr_bells;
static struct message message[MAX_MESSAGES];
static unsigned int nr_messages;
static unsigned int events[LIFE_EVENT_DEVICE_NEEDS_RESET + 1];
static unsigned int last_index;

void fake_kvm_reset(void)
{
	refusal = 0;
	nr_gsis = 0;
	nr_irqfds = 0;
	nr_bells = 0;
	nr_messages = 0;
	memset(route, 0, sizeof(route));
	memset(events, 0, sizeof(events));
}

void fake_kvm_refuse(int err)
{
	refusal = err;
}

int irq_alloc_msi(void)
{
	return nr_gsis < IRQ_MAX_MSI ? IRQ_FIRST_MSI + (int)nr_gsis++ : -ENOSPC;
}

int irq_set_msi(unsigned int gsi, uint64_t address, uint32_t data)
{
	if (refusal)
		return refusal;
	if (gsi < IRQ_FIRST_MSI || gsi - IRQ_FIRST_MSI >= nr_gsis)
		return -EINVAL;
	route[gsi - IRQ_FIRST_MSI].address = address;
	route[gsi - IRQ_FIRST_MSI].data = data;
	return 0;
}

static void inject(unsigned int gsi)
{
	uint64_t address = route[gsi - IRQ_FIRST_MSI].address;
	uint32_t data = route[gsi - IRQ_FIRST_MSI].data;
	unsigned int i = 0;

	while (i < nr_messages && (message[i].address != address ||
				   message[i].data != data))
		i++;
	if (i == MAX_MESSAGES)
		return;
	if (i == nr_messages)
		message[nr_messages++] = (struct message){ address, data, 0 };
	message[i].count++;
}

static void deliver(const struct pairing *pair)
{
	struct pollfd pfd = { .fd = pair->event_fd, .events = POLLIN };
	uint64_t count;

	/* KVM never waits for an eventfd, blocking or not. */
	if (poll(&pfd, 1, 0) == 1 &&
	    read(pair->event_fd, &count, sizeof(count)) == sizeof(count))
		inject((unsigned int)pair->key);
}

static int pair_up(struct pairing *table, unsigned int *nr, int event_fd,
		   uint64_t key)
{
	if (refusal)
		return refusal;
	/* An eventfd is an interrupt once, and an address has one doorbell. */
	for (unsigned int i = 0; i < *nr; i++)
		if (table == irqfd ? table[i].event_fd == event_fd :
				     table[i].key == key)
			return table == irqfd ? -EBUSY : -EEXIST;
	if (*nr == MAX_FDS)
		return -ENOSPC;
	table[(*nr)++] = (struct pairing){ event_fd, key };
	return 0;
}

static int part(struct pairing *table, unsigned int *nr, int event_fd,
		uint64_t key)
{
	for (unsigned int i = 0; i < *nr; i++)
		if (table[i].event_fd == event_fd && table[i].key == key) {
			table[i] = table[--*nr];
			return 0;
		}
	return -ENOENT;
}

int irq_assign_fd(unsigned int gsi, int event_fd)
{
	int err;

	pthread_mutex_lock(&lock);
	err = pair_up(irqfd, &nr_irqfds, event_fd, gsi);
	if (!err)
		deliver(&irqfd[nr_irqfds - 1]);
	pthread_mutex_unlock(&lock);
	return err;
}

int irq_deassign_fd(unsigned int gsi, int event_fd)
{
	int err;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < nr_irqfds; i++)
		if (irqfd[i].event_fd == event_fd)
			deliver(&irqfd[i]);
	err = part(irqfd, &nr_irqfds, event_fd, gsi);
	pthread_mutex_unlock(&lock);
	return err;
}

int doorbell_assign(uint64_t mmio_addr, int event_fd)
{
	int err;

	pthread_mutex_lock(&lock);
	err = pair_up(bell, &nr_bells, event_fd, mmio_addr);
	pthread_mutex_unlock(&lock);
	return err;
}

int doorbell_deassign(uint64_t mmio_addr, int event_fd)
{
	int err;

	pthread_mutex_lock(&lock);
	err = part(bell, &nr_bells, event_fd, mmio_addr);
	pthread_mutex_unlock(&lock);
	return err;
}

unsigned int fake_kvm_interrupts(uint64_t address, uint32_t data)
{
	unsigned int count = 0;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < nr_irqfds; i++)
		deliver(&irqfd[i]);
	for (unsigned int i = 0; i < nr_messages; i++)
		if (message[i].address == address && message[i].data == data)
			count = message[i].count;
	pthread_mutex_unlock(&lock);
	return count;
}

bool fake_kvm_is_assigned(int event_fd)
{
	for (unsigned int i = 0; i < nr_irqfds; i++)
		if (irqfd[i].event_fd == event_fd)
			return true;
	return false;
}

unsigned int fake_kvm_nr_assigned(void)
{
	return nr_irqfds;
}

bool fake_kvm_ring(uint64_t addr)
{
	const uint64_t one = 1;
	bool rung = false;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < nr_bells; i++)
		if (bell[i].key == addr)
			rung = write(bell[i].event_fd, &one, sizeof(one)) ==
			       sizeof(one);
	pthread_mutex_unlock(&lock);
	return rung;
}

unsigned int fake_kvm_nr_doorbells(void)
{
	return nr_bells;
}

void report_event(enum life_core_event_kind kind, unsigned int index,
		  const char *fmt, ...)
{
	(void)fmt;
	events[kind]++;
	last_index = index;
}

void report_device_failed(unsigned int index, unsigned int link,
			  bool in_flight, const char *why)
{
	(void)link;
	(void)in_flight;
	report_event(LIFE_EVENT_DEVICE_FAILED, index, "%s", why);
}

unsigned int fake_kvm_nr_events(enum life_core_event_kind kind)
{
	return events[kind];
}

unsigned int fake_kvm_event_index(void)
{
	return last_index;
}
