/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-rng: the entropy device (virtio 1.2, 5.4): fills the driver's
 * buffers with random bytes of the host's kernel, straight into guest RAM.
 * One queue, no feature bits, no config space, no resource (D3 to D5).
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "devproc/device.h"
#include "devproc/vhost_device.h"
#include "devproc/vhost_fault.h"

#define NR_QUEUES	1
#define MAX_SPANS	64

/* virtio 1.2, 5.4.6.2: a device may use less than the whole buffer. */
#define REQUEST_MAX_BYTES	65536

/* Bytes per round; then the loop looks at its fds again. */
#define ROUND_MAX_BYTES		(1u << 20)
/* Requests per round: those that ask for nothing cost something too. */
#define ROUND_MAX_REQUESTS	256

static struct {
	struct vring *vring;	/* NULL: not running */
	struct iovec spans[MAX_SPANS];
	struct log_limit failures;
} rng;

/*
 * Fill at most max bytes of one span.  The pool was initialised before this
 * process was born, so getrandom(2) neither waits nor fails.
 */
static size_t fill_span(const struct iovec *span, size_t max)
{
	size_t len = span->iov_len < max ? span->iov_len : max;
	size_t done = 0;

	while (done < len) {
		ssize_t got = getrandom((uint8_t *)span->iov_base + done,
					len - done, GRND_NONBLOCK);

		if (got > 0) {
			done += (size_t)got;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (log_allowed(&rng.failures, 1))
			log_perr(errno, "getrandom");
		break;
	}
	return done;
}

/* Return: bytes written, contiguous from the start of the buffer. */
static uint32_t fill_chain(const struct vring_chain *chain)
{
	unsigned int nr_in = chain->nr_in;
	size_t done = 0;
	unsigned int i;

	/* The last span kept of a cut chain is not the one that comes next. */
	if (chain->cut && nr_in > 0)
		nr_in--;
	for (i = 0; i < nr_in && done < REQUEST_MAX_BYTES; i++) {
		const struct iovec *span = &chain->spans[chain->nr_out + i];
		size_t max = REQUEST_MAX_BYTES - done;
		size_t want = span->iov_len < max ? span->iov_len : max;
		size_t got = fill_span(span, max);

		done += got;
		if (got < want)
			break;
	}
	return (uint32_t)done;
}

/* Return: true if it stopped only because its turn was over. */
static bool serve_queue(void)
{
	struct vring_chain chain = {
		.spans = rng.spans, .max_spans = MAX_SPANS,
	};
	struct fault_set faults;
	uint32_t total = 0;
	unsigned int i;

	if (!rng.vring)
		return false;
	for (i = 0; i < ROUND_MAX_REQUESTS && total < ROUND_MAX_BYTES; i++) {
		uint32_t written;
		bool faulty;

		if (vring_pop(rng.vring, &chain) <= 0) {
			if (vring_rearm(rng.vring))
				continue;
			vring_publish(rng.vring);
			return false;
		}
		faulty = vhost_fault_take(FAULT_OP_READ, rng.vring, chain.head,
					  &faults);
		written = fill_chain(&chain);
		if (faulty)
			vhost_fault_done(&faults, rng.vring);
		vring_push(rng.vring, chain.head, written);
		total += written;
		stats_add(&device_stats->queue[0].bytes_read, written);
	}
	vring_publish(rng.vring);
	return true;
}

static void start_queue(unsigned int index, struct vring *vring)
{
	(void)index;
	rng.vring = vring;
}

/* The round that the kick belongs to ends with serve_queue(). */
static void kick_queue(unsigned int index, struct vring *vring)
{
	(void)index;
	(void)vring;
}

/* Nothing is in flight between rounds. */
static void stop_queue(unsigned int index, struct vring *vring)
{
	(void)index;
	(void)vring;
	rng.vring = NULL;
}

static const struct vhost_ops rng_vhost_ops = {
	.nr_queues = NR_QUEUES,
	.queue_start = start_queue,
	.queue_kick = kick_queue,
	.queue_stop = stop_queue,
	.round_end = serve_queue,
};

static int open_rng(const struct life_birth *birth)
{
	(void)birth;
	return vhost_open(NR_QUEUES);
}

static int start_rng(const struct life_birth *birth)
{
	(void)birth;
	return vhost_start(&rng_vhost_ops);
}

static int no_option(struct life_birth *birth, const char *name,
		     const char *value)
{
	(void)birth;
	(void)name;
	(void)value;
	return -ENOENT;
}

static int no_resource(struct life_birth *birth)
{
	(void)birth;
	return 0;
}

static const struct device_ops rng_ops = {
	.role = "rng",
	.life_role = LIFE_ROLE_RNG,
	.policy = &policy_rng,
	.option = no_option,
	.acquire = no_resource,
	.help = "",
	.capabilities = "{\"type\": \"rng\"}",
	.open = open_rng,
	.start = start_rng,
	.stop = vhost_stop,
};

int main(int argc, char **argv)
{
	return device_main(&rng_ops, argc, argv);
}
