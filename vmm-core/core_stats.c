/* SPDX-License-Identifier: Apache-2.0 */
/* See core_stats.h.  Core process: main thread and vCPU threads; C5, C7. */
#include "vmm-core/core_stats.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/inherit.h"
#include "ipc/log.h"
#include "ipc/probe.h"
#include "vmm-core/kvm_ioctl.h"

#define DATA_WORDS	512	/* of one vCPU's values; KVM of Linux 6 has 140 */
#define NAME_BYTES	64	/* KVM api.rst: name_size is 48 now */

/* One of KVM's counters: where it is among the values. */
struct source {
	uint32_t word;
	bool counts;		/* only grows, so that lives add up */
};

static struct stats_core *page;
static struct source sources[STATS_MAX_KVM];
static unsigned int nr_sources;
static off_t data_offset;
static size_t data_bytes;
static unsigned int nr_files;	/* vCPUs 0 .. nr_files - 1 have one */
/* What the cores before this one counted. */
static uint64_t before[LIFE_MAX_VCPUS][STATS_MAX_KVM];

int core_stats_open(unsigned int nr_vcpus)
{
	page = mmap(NULL, STATS_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		    STATS_FD, 0);
	if (page == MAP_FAILED)
		return -errno;
	close(STATS_FD);
	stats_begin(&page->head, LIFE_ROLE_CORE, sizeof(*page));
	stats_born(&page->head);
	page->nr_vcpus = nr_vcpus;
	return 0;
}

struct stats_head *core_stats_head(void)
{
	return &page->head;
}

/* --- heavy exits ------------------------------------------------------------ */

static void count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

void core_stats_exit(unsigned int vcpu, enum stats_exit reason)
{
	PROBE2(exit, vcpu, reason);
	count(&page->vcpu[vcpu].heavy[reason]);
}

void core_stats_answered(unsigned int vcpu, unsigned int owner)
{
	if (owner < STATS_NR_OWNERS)
		count(&page->vcpu[vcpu].owner[owner]);
}

/* --- KVM's counters ----------------------------------------------------------- */

/* KVM api.rst: KVM_GET_STATS_FD; histograms have more values than one. */
static void add_source(const struct kvm_stats_desc *desc, const char *name)
{
	uint32_t type = desc->flags & KVM_STATS_TYPE_MASK;
	uint32_t word = desc->offset / sizeof(uint64_t);

	if (desc->size != 1 || type > KVM_STATS_TYPE_PEAK ||
	    nr_sources == STATS_MAX_KVM || word >= DATA_WORDS)
		return;
	sources[nr_sources].word = word;
	sources[nr_sources].counts = type == KVM_STATS_TYPE_CUMULATIVE;
	snprintf(page->kvm_name[nr_sources], STATS_KVM_NAME, "%.*s",
		 STATS_KVM_NAME - 1, name);
	if (data_bytes < (word + 1) * sizeof(uint64_t))
		data_bytes = (word + 1) * sizeof(uint64_t);
	nr_sources++;
}

static int read_sources(int fd)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc desc;
	/* A descriptor, the name that follows it, a NUL. */
	char one[sizeof(desc) + NAME_BYTES] = "";
	size_t step;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    header.name_size >= NAME_BYTES)
		return -EPROTO;
	step = sizeof(desc) + header.name_size;
	for (uint32_t i = 0; i < header.num_desc; i++) {
		off_t place = (off_t)(header.desc_offset + i * step);

		if (pread(fd, one, step, place) != (ssize_t)step)
			return -EPROTO;
		memcpy(&desc, one, sizeof(desc));
		add_source(&desc, one + sizeof(desc));
	}
	data_offset = header.data_offset;
	page->nr_kvm = nr_sources;
	return 0;
}

/* To the number that the policy knows it by. */
static int open_counters(unsigned int index, int vcpu_fd)
{
	int to = VCPU_STATS_FD_BASE + (int)index;
	int fd = kvm_ioctl(vcpu_fd, KVM_GET_STATS_FD, NULL);
	int ret = 0;

	if (fd < 0 || fd == to)
		return fd < 0 ? -errno : 0;
	if (dup3(fd, to, O_CLOEXEC) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

void core_stats_add_vcpu(unsigned int index, int vcpu_fd)
{
	int ret = nr_files == index ? open_counters(index, vcpu_fd) : -ENOENT;

	if (!ret && index == 0)
		ret = read_sources(VCPU_STATS_FD_BASE);
	if (ret == 0)
		nr_files++;
	else if (index == 0)
		log_info("/dev/kvm: KVM_GET_STATS_FD: %s: exits that KVM handles by itself are not counted",
			 strerror(-ret));
	for (unsigned int i = 0; i < nr_sources; i++)
		if (sources[i].counts)
			before[index][i] = page->vcpu[index].kvm[i];
}

static void refresh_vcpu(unsigned int index)
{
	uint64_t *to = page->vcpu[index].kvm;
	uint64_t data[DATA_WORDS];

	if (pread(VCPU_STATS_FD_BASE + (int)index, data, data_bytes,
		  data_offset) != (ssize_t)data_bytes)
		return;
	for (unsigned int i = 0; i < nr_sources; i++)
		__atomic_store_n(&to[i], before[index][i] +
				 data[sources[i].word], __ATOMIC_RELAXED);
}

void core_stats_refresh(void)
{
	for (unsigned int i = 0; i < nr_files; i++)
		refresh_vcpu(i);
	/* Orders the values before this; on the other side, stats_page.c. */
	__atomic_store_n(&page->refreshes, page->refreshes + 1,
			 __ATOMIC_RELEASE);
}
