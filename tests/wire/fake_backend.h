/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vhost-user back-end for tests of the front-end: a thread that answers as
 * a good one would, but for one request, which it answers wrongly in one way.
 */
#ifndef TESTS_WIRE_FAKE_BACKEND_H
#define TESTS_WIRE_FAKE_BACKEND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipc/vhost_user.h"

#define FAKE_QUEUES	32
#define FAKE_LOG	256

enum fake_wrong {
	FAKE_RIGHT,
	FAKE_SHORT,		/* payload one byte short */
	FAKE_LONG,		/* payload 8 bytes long */
	FAKE_EMPTY,		/* no payload: QEMU's way to say no to GET_CONFIG */
	FAKE_HUGE,		/* a size of 4 GiB - 1 */
	FAKE_OTHER_REQUEST,
	FAKE_OTHER_VERSION,
	FAKE_NO_REPLY_FLAG,
	FAKE_TWO_FDS,		/* more than any reply may carry */
	FAKE_HALF_HEADER,	/* and then silence */
	FAKE_HALF_PAYLOAD,	/* and then silence */
	FAKE_SILENCE,
	FAKE_END_OF_FILE,
	FAKE_NR_WRONG,
};

extern const char *const fake_wrong_name[FAKE_NR_WRONG];

struct fake_backend {
	/* What it is; set before fake_backend_run(). */
	uint64_t features;
	uint64_t protocol_features;
	uint64_t nr_queues;
	uint8_t config[VHOST_USER_CONFIG_MAX];
	uint64_t ack;		/* value of each REPLY_ACK */
	uint32_t wrong_request;
	enum fake_wrong wrong;
	uint32_t config_offset;	/* of the reply to GET_CONFIG */
	int config_size_delta;
	bool no_inflight_fd;
	uint32_t hang_up_on;	/* a request; 0: none */
	int drain_ms;		/* until the first GET_VRING_BASE is answered */

	/* What it was told; read after fake_backend_settle() or _end(). */
	unsigned int nr_seen;
	uint32_t seen[FAKE_LOG];
	uint64_t acked_features;
	uint64_t acked_protocol;
	uint64_t status;
	struct vhost_user_memory memory;
	int memory_fd;		/* of its first region */
	struct vhost_user_inflight inflight;
	int inflight_fd;
	int channel_fd;
	struct {
		uint32_t num;
		uint32_t base;
		struct vhost_user_vring_addr addr;
		int kick_fd;
		int call_fd;
		int err_fd;
		bool enabled;
	} ring[FAKE_QUEUES];
	struct vhost_user_config config_write;

	int sock;		/* its end; closed by its thread or by end() */
	pthread_t thread;
	pthread_mutex_t lock;
};

/* A good back-end of everything: all features, 4 queues. */
void fake_backend_init(struct fake_backend *fake);

/* Start its thread.  Return: the front-end's end of the link. */
int fake_backend_run(struct fake_backend *fake);

/* The same on a connected socket, which is taken over. */
void fake_backend_run_on(struct fake_backend *fake, int sock);

/* Close the link from this side, wait for the thread, close all fds. */
void fake_backend_end(struct fake_backend *fake);

/* How often has request been seen? */
unsigned int fake_backend_count(struct fake_backend *fake, uint32_t request);

#endif
