/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life channel: supervisor <-> one child, SOCK_SEQPACKET on LIFE_FD.
 *
 * One message per datagram: struct life_hdr, then exactly the payload that
 * life_table names for its type.  All fields are little-endian and of fixed
 * width; strings are NUL-terminated within their array.  The supervisor is
 * trusted by its children; nothing a child sends is trusted.
 */
#ifndef IPC_LIFE_H
#define IPC_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/throttle.h"

#define LIFE_VERSION		1
#define LIFE_VM_NAME_MAX	32	/* bytes, with the NUL */
#define LIFE_DEVICE_NAME_MAX	16	/* bytes, with the NUL */
#define LIFE_TEXT_MAX		256	/* bytes, with the NUL */
#define LIFE_CMDLINE_MAX	2048	/* x86 boot protocol: COMMAND_LINE_SIZE */
#define LIFE_MAX_VCPUS		32
#define LIFE_BLK_MAX_EXTRA	14	/* files of a disk beside image and record */
#define LIFE_MAX_DEVICES	31	/* functions beside the host bridge */

enum life_role {
	LIFE_ROLE_CORE = 1,
	LIFE_ROLE_BLK,
	LIFE_ROLE_SERIAL,
	LIFE_ROLE_CONSOLE,
	LIFE_ROLE_RNG,
};

enum life_type {
	/* supervisor -> any child */
	LIFE_BIRTH = 1,		/* struct life_birth: first message of all */
	LIFE_PING,		/* struct life_ping: answer with PONG */
	LIFE_STOP,		/* no payload: finish what is in hand, exit 0 */
	/* supervisor -> spare */
	LIFE_ADOPT,		/* no payload: serve the device from now on */
	/* supervisor -> serial, console */
	LIFE_ATTACH,		/* no payload, 1 fd: peer of a socket backend */
	/* supervisor -> blk */
	LIFE_BLK_THROTTLE,	/* struct throttle_settings: from now on */
	LIFE_BLK_RESUME,	/* no payload: try again what was held */
	/* supervisor -> core */
	LIFE_CORE_DEVICE,	/* struct life_core_device, fds: link[, inflight] */
	LIFE_CORE_START,	/* no payload: all devices named, run */
	LIFE_CORE_POWER_BUTTON,	/* no payload */
	LIFE_CORE_RELINK,	/* struct life_core_relink, 1 fd: reborn device */
	LIFE_CORE_GIVE_UP,	/* struct life_core_relink: nobody is reborn */
	LIFE_CORE_STATS,	/* no payload: bring KVM's counters up to date */
	LIFE_CORE_PAUSE,	/* no payload: no vCPU enters the guest; EVENT_PAUSED */
	LIFE_CORE_RESUME,	/* no payload: they do again */
	/* child -> supervisor */
	LIFE_READY = 0x100,	/* no payload: jailed, and able to serve */
	LIFE_PONG,		/* struct life_ping, as it came */
	LIFE_FAILED,		/* struct life_text: last words, exit follows */
	LIFE_ESCAPE,		/* no payload: user typed the escape on the terminal */
	/* core -> supervisor */
	LIFE_CORE_EVENT,	/* struct life_core_event */
	/* blk -> supervisor */
	LIFE_BLK_HELD,		/* struct life_blk_held: it waits for BLK_RESUME */
	LIFE_BLK_MOVED,		/* struct life_blk_moved: both files are the same */
};

struct life_hdr {
	uint32_t type;		/* enum life_type */
	uint32_t size;		/* payload bytes after this header */
};

struct life_ping {
	uint64_t cookie;
};

struct life_text {
	char text[LIFE_TEXT_MAX];
};

/* Where a serial port or console ends on the host. */
enum life_chardev {
	LIFE_CHARDEV_NULL = 0,	/* output dropped, no input */
	LIFE_CHARDEV_TERMINAL,	/* RES_FD in, RES2_FD out; escape watched for */
	LIFE_CHARDEV_PTY,	/* RES_FD: pty master */
	LIFE_CHARDEV_FILE,	/* RES2_FD: append only, no input */
	LIFE_CHARDEV_SOCKET,	/* peer comes by LIFE_ATTACH; drops output without */
};

/* How a disk goes through the host's page cache, and what a flush is. */
enum life_cache {
	LIFE_CACHE_NONE = 0,	/* O_DIRECT; the guest has a write cache */
	LIFE_CACHE_WRITEBACK,	/* page cache; the guest has a write cache */
	LIFE_CACHE_WRITETHROUGH,	/* page cache; each write ends stable */
	LIFE_CACHE_DIRECTSYNC,	/* O_DIRECT; each write ends stable */
	LIFE_CACHE_UNSAFE,	/* page cache; flushes do nothing */
	LIFE_NR_CACHES,
};

/* "none": as users have it. */
extern const char *const life_cache_names[LIFE_NR_CACHES];

static inline bool life_cache_is_direct(enum life_cache cache)
{
	return cache == LIFE_CACHE_NONE || cache == LIFE_CACHE_DIRECTSYNC;
}

/* What a disk does about an I/O error of the host. */
enum life_on_error {
	LIFE_ERROR_REPORT = 0,	/* the guest gets it */
	LIFE_ERROR_HOLD,	/* the disk waits: LIFE_BLK_HELD */
};

enum life_blk_format {
	LIFE_BLK_RAW = 0,
	LIFE_BLK_QCOW2,
};

#define LIFE_BLK_POLL_US	20	/* unless it is said */
#define LIFE_BLK_MAX_POLL_US	1000

struct life_birth_blk {
	uint64_t size_bytes;	/* of the image, as the supervisor saw it; 0: find out */
	uint16_t nr_queues;	/* 1..LIFE_MAX_VCPUS */
	uint8_t read_only;
	uint8_t direct;		/* 1: image was opened with O_DIRECT */
	uint8_t discard;	/* 1: offer DISCARD and WRITE_ZEROES */
	uint8_t block_device;	/* 1: RES_FD is a block device */
	uint8_t record;		/* 1: RES2_FD is a record, ipc/record.h */
	uint8_t nr_extra;	/* files from EXTRA_FD on, LIFE_BLK_MAX_EXTRA at most */
	char serial[24];	/* virtio-blk GET_ID, at most 20 characters used */
	uint8_t cache;		/* enum life_cache */
	uint8_t on_read_error;	/* enum life_on_error */
	uint8_t on_write_error;
	uint8_t move;		/* 1 + n: being moved to extra file n; 0: is not */
	uint8_t format;		/* enum life_blk_format */
	uint8_t nr_backing;	/* the first of nr_extra: what is behind the image */
	uint16_t raw_backing;	/* bit n: backing file n is raw, not qcow2 */
	uint16_t poll_us;	/* to wait awake for the disk; 0: never */
	uint8_t move_format;	/* of that file, which is empty: enum life_blk_format */
	uint8_t sched_batch;	/* 1: may be SCHED_BATCH, devproc/blk/batch.h */
	uint8_t registered_buffers;	/* 1: guest RAM is registered with io_uring */
	uint8_t shared;		/* 1: other processes serve queues of this disk too */
	uint8_t pad[2];
	struct throttle_settings throttle;
};

struct life_birth_chardev {
	uint32_t backend;	/* enum life_chardev */
	uint32_t pad;
};

struct life_birth_core {
	uint64_t ram_bytes;	/* size of RAM_FD; multiple of 2 MiB */
	uint32_t nr_vcpus;	/* 1..LIFE_MAX_VCPUS */
	uint32_t nr_devices;	/* LIFE_CORE_DEVICE messages that follow */
	uint32_t nr_further;	/* the last so many have process > 0 */
	uint8_t has_initrd;	/* INITRD_FD is open */
	uint8_t huge_pages;	/* RAM_FD is hugetlb */
	uint8_t pad[2];
	char cmdline[LIFE_CMDLINE_MAX];
};

struct life_birth {
	uint32_t version;	/* LIFE_VERSION */
	uint32_t role;		/* enum life_role */
	char vm[LIFE_VM_NAME_MAX];
	char device[LIFE_DEVICE_NAME_MAX];	/* "vda"; "core" for the core */
	uint32_t log_level;	/* enum log_level */
	uint32_t spare;		/* 1: READY, but wait for ADOPT before serving */
	union {
		struct life_birth_blk blk;
		struct life_birth_chardev chardev;
		struct life_birth_core core;
	} u;
};

struct life_core_device {
	uint32_t index;		/* 0..nr_devices-1, in order */
	uint32_t role;		/* enum life_role */
	uint16_t foreign;	/* 1: a back-end that is not ours (socket = PATH) */
	uint16_t packed;	/* 1: the driver may choose packed rings */
	uint32_t nr_queues;	/* wanted; at most what the back-end has */
	/*
	 * A disk may have several processes, each with queues of its own: queue i
	 * is that of process i mod nr_processes.  Process 0 is the device; the others
	 * are named after all devices.
	 */
	uint16_t process;
	uint16_t nr_processes;	/* 1 or more */
	uint32_t of;		/* index of process 0 */
	char name[LIFE_DEVICE_NAME_MAX];
};

/* Links of a device are numbered; CORE_DEVICE brings number 0. */
struct life_core_relink {
	uint32_t index;
	uint32_t link;		/* number of this one */
	uint32_t needs_reset;	/* 1: the guest must reset before it serves */
	uint32_t pad;
};

enum life_core_event_kind {
	LIFE_EVENT_STARTED = 1,	/* vCPUs are about to enter the guest */
	LIFE_EVENT_POWEROFF,	/* guest entered S5 */
	LIFE_EVENT_RESET,	/* guest asked for a reset, or triple-faulted */
	LIFE_EVENT_PANIC,	/* pvpanic; the guest goes on as it likes */
	LIFE_EVENT_VCPU_FAILED,	/* KVM could not go on; text has the registers */
	LIFE_EVENT_DEVICE_FAILED,	/* index: link lost or protocol broken */
	LIFE_EVENT_DEVICE_NEEDS_RESET,	/* index: guest drove it wrong */
	LIFE_EVENT_CLOCK_JUMPED,	/* a fault: every vCPU must leave the guest */
	LIFE_EVENT_PAUSED,	/* by CORE_PAUSE: the same */
};

struct life_blk_held {
	uint32_t err;		/* errno */
	uint32_t write;		/* 0: a read; 1: all else */
	uint64_t offset;	/* bytes, into the disk */
};

struct life_blk_moved {
	uint32_t err;		/* errno; 0: from now on they stay so */
	uint32_t pad;
};

struct life_core_event {
	uint32_t kind;		/* enum life_core_event_kind */
	uint32_t index;		/* device, where the kind has one */
	uint32_t link;		/* DEVICE_FAILED: number of the link that broke */
	uint32_t in_flight;	/* DEVICE_FAILED: 1: requests may be lost with it */
	char text[LIFE_TEXT_MAX];
};

_Static_assert(sizeof(struct life_hdr) == 8, "life_hdr");
_Static_assert(sizeof(struct life_birth_blk) == 160, "life_birth_blk");
_Static_assert(sizeof(struct life_core_device) == 40, "life_core_device");
_Static_assert(sizeof(struct life_blk_held) == 16, "life_blk_held");
_Static_assert(sizeof(struct life_core_relink) == 16, "life_core_relink");
_Static_assert(sizeof(struct life_core_event) == 272, "life_core_event");

/* Largest datagram on the channel, header included. */
#define LIFE_MSG_MAX	(sizeof(struct life_hdr) + sizeof(struct life_birth))

/* How the title of a spare ends; that of a device ends with its second half. */
#define LIFE_SPARE_MARK		" spare]"
#define LIFE_SERVING_MARK	"]"

/* "blk": as users, logs and ps have it. */
const char *life_role_name(enum life_role role);

/*
 * Send one message; payload must be as large as the type says.
 * Blocks at most timeout_ms.  Return: 0, -EPIPE peer gone, -ETIMEDOUT.
 */
int life_send(int fd, enum life_type type, const void *payload,
	      const int *fds, unsigned int nr_fds, int timeout_ms);

struct life_msg {
	enum life_type type;
	unsigned int nr_fds;
	int fds[2];		/* owned by the caller after life_recv() */
	union {
		struct life_birth birth;
		struct life_ping ping;
		struct life_text text;
		struct life_core_device core_device;
		struct life_core_relink core_relink;
		struct life_core_event core_event;
		struct life_blk_held blk_held;
		struct life_blk_moved blk_moved;
		struct throttle_settings throttle;
	} u;
};

enum life_side {
	LIFE_SIDE_CHILD,	/* receives supervisor messages only */
	LIFE_SIDE_SUPERVISOR,	/* receives child messages only */
};

/*
 * Receive one message, checked against the table: type known and sent in
 * this direction, exact size, exact number of fds, strings terminated.
 * Blocks at most timeout_ms (0: do not block, -1: for ever).
 * Return: 1 a message, 0 peer closed, -EAGAIN nothing there (timeout_ms 0),
 * -ETIMEDOUT, -EPROTO a message that broke a rule (its fds are closed).
 */
int life_recv(int fd, enum life_side side, struct life_msg *msg,
	      int timeout_ms);

#endif
