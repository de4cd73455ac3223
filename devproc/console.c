/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-console: a virtio console with one port (virtio 1.2, 5.3) between
 * two rings and the host side (chardev.c).  Owns no feature bits and no
 * config space; D3 to D5 at the end of each loop round.
 */
#include <stddef.h>

#include "devproc/chardev.h"
#include "devproc/device.h"
#include "devproc/vhost_device.h"
#include "devproc/vhost_fault.h"

/* virtio 1.2, 5.3.2: without MULTIPORT, port 0's pair and nothing else. */
enum { RECEIVEQ = 0, TRANSMITQ = 1, NR_QUEUES = 2 };

/* Chains per queue and round; then the loop looks at its fds again. */
#define ROUND_MAX_CHAINS	256

/* A span per descriptor, and some that cross from one region to the next. */
#define MAX_SPANS	(VRING_MAX_SIZE + 16)

static struct {
	struct vring *receive;		/* NULL: not running */
	struct vring *transmit;
	struct vring_chain input;	/* of receive; in hand only in a call */
	struct vring_chain output;	/* of transmit */
	bool output_held;		/* output is popped and not yet pushed */
	bool output_faulty;		/* and these are its faults */
	struct fault_set output_faults;
	size_t output_done;		/* bytes of output already queued */
	struct iovec input_spans[MAX_SPANS];
	struct iovec output_spans[MAX_SPANS];
} console = {
	.input = { .spans = console.input_spans, .max_spans = MAX_SPANS },
	.output = { .spans = console.output_spans, .max_spans = MAX_SPANS },
};

/* --- guest to host --------------------------------------------------------- */

/*
 * Queue what is left of the chain in hand.  One that fits the host's buffer
 * waits until it fits as a whole, so that it is never half sent when the
 * queue stops.  Return: true if all of it is queued.
 */
static bool queue_output(void)
{
	const struct vring_chain *chain = &console.output;
	uint8_t buf[4096];

	if (chain->cut)
		return true;
	if (chain->out_bytes <= CHARDEV_OUT_BYTES &&
	    chain->out_bytes > chardev_put_room())
		return false;
	for (;;) {
		size_t room = chardev_put_room();
		size_t len = room < sizeof(buf) ? room : sizeof(buf);

		if (console.output_done == chain->out_bytes)
			return true;
		len = vring_chain_read(chain, console.output_done, buf, len);
		if (len == 0)
			return false;
		chardev_put(buf, len);
		console.output_done += len;
	}
}

/* Take the next chain in hand.  Return: false if the ring is empty. */
static bool hold_output(void)
{
	do {
		if (vring_pop(console.transmit, &console.output) > 0) {
			console.output_held = true;
			console.output_done = 0;
			console.output_faulty =
				vhost_fault_take(FAULT_OP_WRITE,
						 console.transmit,
						 console.output.head,
						 &console.output_faults);
			return true;
		}
	} while (vring_rearm(console.transmit));
	return false;
}

/* virtio 1.2, 5.3.6: a transmitted buffer is characters for the port. */
static void release_output(void)
{
	if (console.output_faulty)
		vhost_fault_done(&console.output_faults, console.transmit);
	vring_push(console.transmit, console.output.head, 0);
	console.output_held = false;
	stats_add(&device_stats->queue[TRANSMITQ].bytes_written,
		  console.output_done);
}

/* Return: true if it stopped only because its turn was over. */
static bool move_output(void)
{
	unsigned int i;

	if (!console.transmit)
		return false;
	for (i = 0; i < ROUND_MAX_CHAINS; i++) {
		if (!console.output_held && !hold_output())
			break;
		if (!queue_output())
			break;
		release_output();
	}
	return i == ROUND_MAX_CHAINS;
}

/* --- host to guest --------------------------------------------------------- */

/* One buffer of the driver's, as full as the input makes it. */
static uint32_t fill_buffer(const struct vring_chain *chain)
{
	uint8_t buf[CHARDEV_IN_BYTES];
	size_t len = chain->in_bytes < sizeof(buf) ? chain->in_bytes
						   : sizeof(buf);

	/* A buffer that nothing can be written to goes back empty. */
	if (chain->cut || len == 0)
		return 0;
	len = chardev_get(buf, len);
	return (uint32_t)vring_chain_write(chain, 0, buf, len);
}

/* virtio 1.2, 5.3.6: input goes to the receiveq as soon as there is some. */
static bool move_input(void)
{
	struct fault_set faults;
	unsigned int i;

	if (!console.receive)
		return false;
	for (i = 0; i < ROUND_MAX_CHAINS && chardev_get_ready() > 0; i++) {
		bool faulty;
		uint32_t written;

		if (vring_pop(console.receive, &console.input) <= 0) {
			if (vring_rearm(console.receive))
				continue;
			break;
		}
		faulty = vhost_fault_take(FAULT_OP_READ, console.receive,
					  console.input.head, &faults);
		written = fill_buffer(&console.input);
		if (faulty)
			vhost_fault_done(&faults, console.receive);
		vring_push(console.receive, console.input.head, written);
		stats_add(&device_stats->queue[RECEIVEQ].bytes_read, written);
	}
	vring_publish(console.receive);
	return i == ROUND_MAX_CHAINS;
}

/* --- device ---------------------------------------------------------------- */

static bool end_round(void)
{
	bool more = move_output();

	chardev_flush();
	/* The host took what the chain in hand was waiting for. */
	if (console.output_held) {
		more = move_output() || more;
		chardev_flush();
	}
	/*
	 * After the host has it: a process that dies before loses nothing,
	 * its successor sends it again.
	 */
	if (console.transmit)
		vring_publish(console.transmit);
	/* No event follows if all is written and a long chain goes on. */
	if (console.output_held && chardev_put_room() == CHARDEV_OUT_BYTES)
		more = true;
	return move_input() || more;
}

static void start_queue(unsigned int index, struct vring *vring)
{
	if (index == RECEIVEQ)
		console.receive = vring;
	else
		console.transmit = vring;
}

/* The round that the kick belongs to ends with end_round(). */
static void kick_queue(unsigned int index, struct vring *vring)
{
	(void)index;
	(void)vring;
}

static void stop_queue(unsigned int index, struct vring *vring)
{
	if (index == RECEIVEQ) {
		console.receive = NULL;
		return;
	}
	if (console.output_held && console.output_done == 0) {
		vring_unpop(vring, console.output.head);
		console.output_held = false;
	} else if (console.output_held) {
		release_output();
		vring_publish(vring);
	}
	console.transmit = NULL;
}

static const struct vhost_ops console_vhost_ops = {
	.nr_queues = NR_QUEUES,
	.queue_start = start_queue,
	.queue_kick = kick_queue,
	.queue_stop = stop_queue,
	.round_end = end_round,
};

static int open_console(const struct life_birth *birth)
{
	int err = chardev_open(birth);

	return err ? err : vhost_open(NR_QUEUES);
}

static int start_console(const struct life_birth *birth)
{
	int err = chardev_start(birth);

	return err ? err : vhost_start(&console_vhost_ops);
}

static void stop_console(void)
{
	end_round();
	chardev_finish();
	vhost_stop();
}

static const struct device_ops console_ops = {
	.role = "console",
	.life_role = LIFE_ROLE_CONSOLE,
	.policy = &policy_console,
	.option = chardev_option,
	.acquire = chardev_acquire,
	.help = CHARDEV_HELP,
	.capabilities = "{\"type\": \"console\"}",
	.open = open_console,
	.start = start_console,
	.stop = stop_console,
	.attach = chardev_attach,
};

int main(int argc, char **argv)
{
	return device_main(&console_ops, argc, argv);
}
