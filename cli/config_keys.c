/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys each section has, how each is parsed and where it goes (C1).
 * docs/bulkhead.conf.5 and configs/full.conf name the same keys;
 * tests/cli/samples.sh holds them to this table.
 */
#include <stdio.h>
#include <string.h>

#include "cli/config_priv.h"

#define VM(field)	offsetof(struct config, field)
#define DEV(field)	offsetof(struct config_device, field)
#define DEV_LIMIT(kind)	DEV(limits[CONFIG_LIMIT_##kind])
#define CORE_LIMIT(kind)	VM(core_limits[CONFIG_LIMIT_##kind])

static const struct config_key keys[] = {
	{ CONFIG_KIND_VM, "name", config_parse_name, VM(name) },
	{ CONFIG_KIND_VM, "memory", config_parse_size, VM(memory_bytes) },
	{ CONFIG_KIND_VM, "cpus", config_parse_cpus, VM(nr_cpus) },
	{ CONFIG_KIND_VM, "kernel", config_parse_path, VM(kernel) },
	{ CONFIG_KIND_VM, "initrd", config_parse_path, VM(initrd) },
	{ CONFIG_KIND_VM, "cmdline", config_parse_text, VM(cmdline) },
	{ CONFIG_KIND_VM, "on_reboot", config_parse_on_reboot, VM(on_reboot) },
	{ CONFIG_KIND_VM, "on_panic", config_parse_on_panic, VM(on_panic) },
	{ CONFIG_KIND_VM, "on_crash", config_parse_on_crash, VM(on_crash) },
	{ CONFIG_KIND_VM, "max_restarts", config_parse_restarts,
	  VM(max_restarts) },
	{ CONFIG_KIND_VM, "heartbeat", config_parse_heartbeat,
	  VM(heartbeat_ms) },
	{ CONFIG_KIND_VM, "spare", config_parse_bool, VM(spare) },
	{ CONFIG_KIND_VM, "huge_pages", config_parse_bool, VM(huge_pages) },
	{ CONFIG_KIND_VM, "stop_timeout", config_parse_ms,
	  VM(stop_timeout_ms) },
	{ CONFIG_KIND_VM, "cgroup", config_parse_cgroup, VM(cgroup) },
	{ CONFIG_KIND_SERIAL, "on_crash", config_parse_on_crash,
	  DEV(on_crash) },
	{ CONFIG_KIND_SERIAL, "connect", config_parse_connect, DEV(connect) },
	{ CONFIG_KIND_SERIAL, "max_size", config_parse_max_size,
	  DEV(max_size_bytes) },
	{ CONFIG_KIND_CONSOLE, "on_crash", config_parse_on_crash,
	  DEV(on_crash) },
	{ CONFIG_KIND_CONSOLE, "connect", config_parse_connect, DEV(connect) },
	{ CONFIG_KIND_CONSOLE, "max_size", config_parse_max_size,
	  DEV(max_size_bytes) },
	{ CONFIG_KIND_CONSOLE, "packed", config_parse_bool, DEV(packed) },
	{ CONFIG_KIND_RNG, "on_crash", config_parse_on_crash, DEV(on_crash) },
	{ CONFIG_KIND_RNG, "packed", config_parse_bool, DEV(packed) },
	{ CONFIG_KIND_BLK, "on_crash", config_parse_on_crash,
	  DEV(on_crash) },
	{ CONFIG_KIND_BLK, "path", config_parse_path, DEV(image) },
	{ CONFIG_KIND_BLK, "format", config_parse_format, DEV(format) },
	{ CONFIG_KIND_BLK, "backing", config_parse_chain, DEV(chain) },
	{ CONFIG_KIND_BLK, "socket", config_parse_path, DEV(socket) },
	{ CONFIG_KIND_BLK, "read_only", config_parse_bool, DEV(read_only) },
	{ CONFIG_KIND_BLK, "cache", config_parse_cache, DEV(cache) },
	{ CONFIG_KIND_BLK, "queues", config_parse_cpus, DEV(nr_queues) },
	{ CONFIG_KIND_BLK, "processes", config_parse_cpus, DEV(nr_processes) },
	{ CONFIG_KIND_BLK, "poll", config_parse_poll, DEV(poll_us) },
	{ CONFIG_KIND_BLK, "registered_buffers", config_parse_bool, DEV(registered_buffers) },
	{ CONFIG_KIND_BLK, "sched_batch", config_parse_bool, DEV(sched_batch) },
	{ CONFIG_KIND_BLK, "serial", config_parse_serial, DEV(serial) },
	{ CONFIG_KIND_BLK, "discard", config_parse_bool, DEV(discard) },
	{ CONFIG_KIND_BLK, "packed", config_parse_bool, DEV(packed) },
	{ CONFIG_KIND_BLK, "record", config_parse_path, DEV(record) },
	{ CONFIG_KIND_BLK, "on_error", config_parse_on_errors, DEV(on_error) },
	{ CONFIG_KIND_BLK, "on_read_error", config_parse_on_error,
	  DEV(on_error[0]) },
	{ CONFIG_KIND_BLK, "on_write_error", config_parse_on_error,
	  DEV(on_error[1]) },
	{ CONFIG_KIND_BLK, "throttle", config_parse_throttle, DEV(throttle) },
	{ CONFIG_KIND_BLK, "throttle_group", config_parse_group,
	  DEV(throttle_group) },
	{ CONFIG_KIND_CORE, "cpu_weight", config_parse_weight,
	  CORE_LIMIT(CPU_WEIGHT) },
	{ CONFIG_KIND_CORE, "cpu_max", config_parse_cpu_max,
	  CORE_LIMIT(CPU_MAX) },
	{ CONFIG_KIND_CORE, "memory_max", config_parse_memory_max,
	  CORE_LIMIT(MEMORY_MAX) },
	{ CONFIG_KIND_SERIAL, "cpu_weight", config_parse_weight,
	  DEV_LIMIT(CPU_WEIGHT) },
	{ CONFIG_KIND_SERIAL, "cpu_max", config_parse_cpu_max,
	  DEV_LIMIT(CPU_MAX) },
	{ CONFIG_KIND_SERIAL, "memory_max", config_parse_memory_max,
	  DEV_LIMIT(MEMORY_MAX) },
	{ CONFIG_KIND_CONSOLE, "cpu_weight", config_parse_weight,
	  DEV_LIMIT(CPU_WEIGHT) },
	{ CONFIG_KIND_CONSOLE, "cpu_max", config_parse_cpu_max,
	  DEV_LIMIT(CPU_MAX) },
	{ CONFIG_KIND_CONSOLE, "memory_max", config_parse_memory_max,
	  DEV_LIMIT(MEMORY_MAX) },
	{ CONFIG_KIND_RNG, "cpu_weight", config_parse_weight,
	  DEV_LIMIT(CPU_WEIGHT) },
	{ CONFIG_KIND_RNG, "cpu_max", config_parse_cpu_max,
	  DEV_LIMIT(CPU_MAX) },
	{ CONFIG_KIND_RNG, "memory_max", config_parse_memory_max,
	  DEV_LIMIT(MEMORY_MAX) },
	{ CONFIG_KIND_BLK, "cpu_weight", config_parse_weight,
	  DEV_LIMIT(CPU_WEIGHT) },
	{ CONFIG_KIND_BLK, "cpu_max", config_parse_cpu_max,
	  DEV_LIMIT(CPU_MAX) },
	{ CONFIG_KIND_BLK, "memory_max", config_parse_memory_max,
	  DEV_LIMIT(MEMORY_MAX) },
	{ CONFIG_KIND_BLK, "io_weight", config_parse_weight,
	  DEV_LIMIT(IO_WEIGHT) },
	{ CONFIG_KIND_BLK, "io_max", config_parse_io_max,
	  DEV_LIMIT(IO_MAX) },
};

#define NR_KEYS	(sizeof(keys) / sizeof(keys[0]))

static const char *const kind_name[CONFIG_NR_KINDS] = {
	[CONFIG_KIND_VM] = "vm",
	[CONFIG_KIND_CORE] = "core",
	[CONFIG_KIND_SERIAL] = "serial",
	[CONFIG_KIND_CONSOLE] = "console",
	[CONFIG_KIND_RNG] = "rng",
	[CONFIG_KIND_BLK] = "blk",
	[CONFIG_KIND_FAULT] = "fault",
};

const char *config_kind_name(enum config_kind kind)
{
	return kind_name[kind];
}

const struct config_key *config_key_find(enum config_kind kind,
					 const char *name)
{
	for (unsigned int i = 0; i < NR_KEYS; i++)
		if (keys[i].kind == kind && !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

void config_key_list(enum config_kind kind, char *buf, size_t len)
{
	size_t used = 0;

	snprintf(buf, len, "none");
	for (unsigned int i = 0; i < NR_KEYS && used < len; i++)
		if (keys[i].kind == kind)
			used += snprintf(buf + used, len - used, "%s%s",
					 used ? ", " : "", keys[i].name);
}
