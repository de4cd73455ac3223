/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM and the shared pages as sealed memfds (C2).  The supervisor makes
 * and keeps them; it never maps guest RAM.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "cli/resources.h"
#include "ipc/memfd.h"

/* Sealed: no holder can shrink it under another one's mapping (SIGBUS). */
static int make_sealed(const char *name, uint64_t bytes, unsigned int flags,
		       void **only_writer)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd = memfd_sealable(name, flags);
	void *map = NULL;
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0)
		ret = -errno;
	if (!ret && only_writer) {
		seals |= F_SEAL_FUTURE_WRITE;
		map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			   fd, 0);
		if (map == MAP_FAILED)
			ret = -errno;
	}
	if (!ret && fcntl(fd, F_ADD_SEALS, seals) < 0) {
		ret = -errno;
		if (map)
			munmap(map, bytes);
	}
	if (ret) {
		close(fd);
		return ret;
	}
	if (only_writer)
		*only_writer = map;
	return fd;
}

int memory_make_ram(const struct config *cfg)
{
	return make_sealed("bulkhead-ram", cfg->memory_bytes,
			   cfg->huge_pages ? MFD_HUGETLB | MFD_HUGE_2MB : 0,
			   NULL);
}

int memory_make_page(const char *name, uint64_t bytes)
{
	return make_sealed(name, bytes, 0, NULL);
}

int memory_make_shown(const char *name, uint64_t bytes, void **map)
{
	return make_sealed(name, bytes, 0, map);
}

static uint64_t free_huge_bytes(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
			"re");
	uint64_t n = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &n) != 1)
		n = 0;
	fclose(f);
	return n << 21;
}

int memory_check_host(const struct config *cfg, char why[VM_WHY_MAX])
{
	struct sysinfo info;
	uint64_t host_bytes, huge_bytes;

	if (sysinfo(&info) < 0)
		return -errno;
	host_bytes = (uint64_t)info.totalram * info.mem_unit;
	if (cfg->memory_bytes > host_bytes) {
		snprintf(why, VM_WHY_MAX,
			 "%s: memory = %" PRIu64 "M is more than the %" PRIu64
			 "M this host has; give the VM less",
			 cfg->memory_origin, cfg->memory_bytes >> 20,
			 host_bytes >> 20);
		return -ENOMEM;
	}
	huge_bytes = cfg->huge_pages ? free_huge_bytes() : 0;
	if (cfg->huge_pages && huge_bytes < cfg->memory_bytes) {
		snprintf(why, VM_WHY_MAX,
			 "%s: huge_pages = yes needs %" PRIu64
			 " free 2M pages, the host has %" PRIu64
			 "; write more to /proc/sys/vm/nr_hugepages, or say no",
			 cfg->memory_origin, cfg->memory_bytes >> 21,
			 huge_bytes >> 21);
		return -ENOMEM;
	}
	return 0;
}
