/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of one VM as a checked struct (C1).
 *
 * Nothing here touches a host resource: paths are made absolute to the
 * configuration file's folder, not opened.  docs/bulkhead.conf.5 is the
 * user's side of this header.
 */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/fault.h"
#include "ipc/life.h"
#include "ipc/throttle.h"

#define CONFIG_ERROR_MAX	512	/* bytes of an error line, with the NUL */
#define CONFIG_MEMORY_STEP	(2ull << 20)	/* guest RAM comes in these */
#define CONFIG_BLK_SERIAL_MAX	20	/* virtio 1.2, 5.2.6: GET_ID bytes */

enum config_on_reboot { CONFIG_REBOOT_RESTART, CONFIG_REBOOT_STOP };
enum config_on_panic { CONFIG_PANIC_REPORT, CONFIG_PANIC_STOP };
/* What follows when a device's process dies while the guest runs. */
enum config_on_crash {
	CONFIG_CRASH_RESTART,	/* a new process; the guest does not notice */
	CONFIG_CRASH_RESET,	/* a new process; the guest must reset it */
	CONFIG_CRASH_PAUSE,	/* the VM stands still until somebody's word */
	CONFIG_CRASH_STOP,	/* the end of the VM */
	CONFIG_CRASH_INHERIT,	/* in a device's section: as [vm] says */
};

/* A path and where it was written, for errors found when it is opened. */
struct config_path {
	char *path;		/* absolute; NULL: not given */
	char *origin;		/* "debian.conf:12", "--set vm.kernel" */
};

struct config_connect {
	enum life_chardev kind;
	struct config_path to;	/* path for FILE and SOCKET, else only origin */
};

/* Limits of one process, for cgroup2. */
enum config_limit_kind {
	CONFIG_LIMIT_CPU_WEIGHT,
	CONFIG_LIMIT_CPU_MAX,
	CONFIG_LIMIT_MEMORY_MAX,
	CONFIG_LIMIT_IO_WEIGHT,
	CONFIG_LIMIT_IO_MAX,
	CONFIG_NR_LIMITS,
};

#define CONFIG_LIMIT_MAX	112	/* bytes, with the NUL */

struct config_limit {
	/* As its control file takes it; of io_max without the device. */
	char text[CONFIG_LIMIT_MAX];
	char *origin;		/* NULL: not given */
};

/* [blk] backing: what is behind an image, the nearest first. */
#define CONFIG_MAX_BACKING	8

struct config_backing {
	struct config_path file;
	int format;		/* enum life_blk_format */
};

struct config_chain {
	struct config_backing backing[CONFIG_MAX_BACKING];
	unsigned int nr;
};

struct config_device {
	enum life_role role;
	char name[LIFE_DEVICE_NAME_MAX];	/* "vda"; "serial", "rng" */
	char *origin;				/* of its section */
	int on_crash;			/* enum config_on_crash */
	struct config_limit limits[CONFIG_NR_LIMITS];
	bool packed;			/* of its rings; not serial */
	/* blk */
	struct config_path image;
	struct config_path socket;	/* foreign back-end, instead of image */
	struct config_path record;	/* of all that is written; path NULL: none */
	int format;			/* enum life_blk_format */
	struct config_chain chain;	/* of format qcow2 */
	bool read_only;
	bool discard;
	int cache;			/* enum life_cache */
	uint32_t nr_queues;
	uint32_t nr_processes;	/* 1 or more */
	uint32_t process;	/* which of them this is; 0: the disk itself */
	unsigned int of;	/* index of process 0 into config.device */
	uint32_t poll_us;
	bool sched_batch;
	bool registered_buffers;
	char *serial;
	int on_error[2];		/* enum life_on_error, of reads, of writes */
	struct throttle_settings throttle;
	char *throttle_group;		/* NULL: alone */
	/* serial, console */
	struct config_connect connect;
	uint64_t max_size_bytes;	/* of the file of connect = file: */
};

/* A line of [fault], checked. */
struct config_fault {
	unsigned int device;	/* index into config.device, or CONFIG_CORE */
	struct fault_rule rule;	/* without id and seed */
};

#define CONFIG_CORE		UINT_MAX
#define CONFIG_MAX_FAULTS	256

struct config {
	char *file;			/* as the user named it */
	char *dir;			/* absolute folder of file */
	char *name;
	uint64_t memory_bytes;
	uint32_t nr_cpus;
	bool huge_pages;
	int on_reboot;			/* enum config_on_reboot */
	int on_panic;			/* enum config_on_panic */
	int on_crash;			/* enum config_on_crash */
	uint32_t max_restarts;		/* of a device within a minute */
	uint32_t heartbeat_ms;		/* 0: none */
	bool spare;			/* a process in waiting for each device */
	uint32_t stop_timeout_ms;
	struct config_path kernel;
	struct config_path initrd;
	char *cmdline;
	char *memory_origin;
	struct config_path cgroup;	/* "auto", a folder, or none */
	struct config_limit core_limits[CONFIG_NR_LIMITS];
	/* At the end those that are a further process of a disk. */
	struct config_device device[LIFE_MAX_DEVICES];
	unsigned int nr_devices;
	unsigned int nr_further;
	uint64_t fault_seed;
	struct config_fault fault[CONFIG_MAX_FAULTS];
	unsigned int nr_faults;
};

/*
 * Read file, apply the nr_sets assignments ("vm.memory=1G") in order, check.
 * *cfg is the caller's, to be given to config_free().
 * Return: 0; -EINVAL or another -errno with one line in err, which names
 * file and line, what is wrong, and what to do.
 */
int config_load(const char *file, const char *const *sets,
		unsigned int nr_sets, struct config **cfg,
		char err[CONFIG_ERROR_MAX]);

/* "restart" and its like; not CONFIG_CRASH_INHERIT. */
const char *config_on_crash_name(int on_crash);

/* config_limits.c: "cpu_max", "cpu", "cpu.max" */
const char *config_limit_key(enum config_limit_kind kind);
const char *config_limit_controller(enum config_limit_kind kind);
const char *config_limit_file(enum config_limit_kind kind);
bool config_has_limits(const struct config_limit limits[CONFIG_NR_LIMITS]);

/* "raw", "qcow2"; of enum life_blk_format. */
const char *config_format_name(int format);
/* enum life_blk_format; -1: there is no such. */
int config_find_format(const char *name);

void config_free(struct config *cfg);

#endif
