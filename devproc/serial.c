/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulkhead-serial: a 16550A (uart.c) between the register channel to the
 * core (ipc/regchan.h) and the host side (chardev.c).  Has no guest memory.
 *
 * A round of the loop: take the accesses that wait in the channel, answer
 * reads at once; then move characters both ways, write the host side once,
 * and write the interrupt eventfd once if an edge is owed (D2-D6).
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "devproc/chardev.h"
#include "devproc/device.h"
#include "devproc/loop.h"
#include "devproc/uart.h"
#include "ipc/fault_match.h"
#include "ipc/regchan.h"

/* Accesses per round: the supervisor's pings wait no longer than that. */
#define ROUND_MAX_REQUESTS	512

static void handle_link(struct loop_source *source, uint32_t events);

static struct uart uart;
static struct loop_source link_source = LOOP_SOURCE_INIT(handle_link);
static int irq_fd = -1;
static bool lose_pulse;	/* FAULT_LOSE_INTERRUPT fired */

/* --- characters ------------------------------------------------------------ */

/* What the guest sent goes to the host's buffer, as far as it has room. */
static void move_output(void)
{
	uint8_t buf[UART_FIFO_BYTES];
	size_t room = chardev_put_room();
	unsigned int taken;

	taken = uart_tx_take(&uart, buf,
			     room < sizeof(buf) ? (unsigned int)room
						: (unsigned int)sizeof(buf));
	if (taken == 0)
		return;
	chardev_put(buf, taken);
	stats_add(&device_stats->queue[0].bytes_written, taken);
}

/* What the host has goes to the receiver, as far as the guest reads it. */
static void move_input(void)
{
	uint8_t buf[UART_FIFO_BYTES];
	size_t got = chardev_get(buf, uart_rx_room(&uart));
	size_t i;

	for (i = 0; i < got; i++)
		uart_rx_put(&uart, buf[i]);
	if (got)
		stats_add(&device_stats->queue[0].bytes_read, got);
}

/* One write is one edge (KVM api.rst: KVM_IRQFD). */
static void write_interrupt(void)
{
	const uint64_t one = 1;

	/* Full means that edges wait in it already: nothing is lost. */
	if (write(irq_fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
		device_fail("interrupt eventfd: %s", strerror(errno));
		return;
	}
	stats_add(&device_stats->queue[0].interrupts, 1);
}

static void raise_interrupt(void)
{
	if (irq_fd < 0 || !uart_take_pulse(&uart))
		return;
	if (!lose_pulse)
		write_interrupt();
	lose_pulse = false;
}

static bool end_round(void)
{
	move_output();
	chardev_flush();
	/* The host took something: the guest may go on. */
	move_output();
	chardev_flush();
	move_input();
	raise_interrupt();
	return false;
}

/* --- register channel ------------------------------------------------------ */

/*
 * An access wider than a byte is, on an 8-bit ISA card, one access per byte
 * at ascending addresses.  Past the last register the bus floats high.
 */
static uint32_t read_registers(const struct regchan_request *core_req)
{
	uint32_t value = 0;
	unsigned int i;

	for (i = 0; i < core_req->size; i++) {
		unsigned int offset = core_req->offset + i;
		uint8_t byte = 0xff;

		if (offset < UART_NR_REGISTERS)
			byte = uart_read(&uart, offset);
		value |= (uint32_t)byte << (8 * i);
	}
	return value;
}

static void write_registers(const struct regchan_request *core_req)
{
	unsigned int i;

	for (i = 0; i < core_req->size; i++) {
		unsigned int offset = core_req->offset + i;

		if (offset < UART_NR_REGISTERS)
			uart_write(&uart, offset,
				   (uint8_t)(core_req->value >> (8 * i)));
	}
	/* Posted writes come faster than rounds: make room for the next. */
	if (uart_tx_full(&uart))
		move_output();
}

static void set_irq(int new_fd)
{
	if (irq_fd >= 0)
		close(irq_fd);
	irq_fd = new_fd;
	/* What is pending already would otherwise never be an edge. */
	if (uart.line)
		uart.pulse = true;
}

/* --- faults on purpose ----------------------------------------------------- */

/* An access has come.  Return: whether any fault is for it. */
static bool take_faults(const struct regchan_request *core_req,
			struct fault_set *faults)
{
	const struct fault_request asked = {
		.op = core_req->op == REGCHAN_READ ? FAULT_OP_READ :
						     FAULT_OP_WRITE,
	};

	if ((core_req->op != REGCHAN_READ && core_req->op != REGCHAN_WRITE) ||
	    !fault_match(FAULT_REQUEST_ACTIONS, &asked, faults))
		return false;
	fault_crash_at(faults, FAULT_POINT_FETCH);
	if (fault_has(faults, FAULT_HANG))
		fault_hang();
	if (fault_has(faults, FAULT_SPURIOUS_INTERRUPT) && irq_fd >= 0)
		write_interrupt();
	lose_pulse |= fault_has(faults, FAULT_LOSE_INTERRUPT);
	return true;
}

/* The registers have been touched; nobody knows yet. */
static void suffer_done(const struct fault_set *faults)
{
	fault_crash_at(faults, FAULT_POINT_SUBMIT);
	fault_crash_at(faults, FAULT_POINT_COMPLETE);
}

/* Return: false if the core cannot be served any more. */
static bool serve(const struct regchan_request *core_req, int new_irq_fd)
{
	struct fault_set faults;
	bool faulty = fault_armed() && take_faults(core_req, &faults);
	uint32_t value;
	int err;

	switch (core_req->op) {
	case REGCHAN_READ:
		stats_add(&device_stats->register_reads, 1);
		/* LSR and IIR tell of writes before this read. */
		move_output();
		value = read_registers(core_req);
		if (faulty)
			suffer_done(&faults);
		err = regchan_answer(LINK_FD, core_req->seq, value);
		/* A core that has closed is seen by the next regchan_take(). */
		if (err && err != -EPIPE) {
			device_fail("core does not take a reply: %s",
				    strerror(-err));
			return false;
		}
		break;
	case REGCHAN_WRITE:
		stats_add(&device_stats->register_writes, 1);
		write_registers(core_req);
		if (faulty)
			suffer_done(&faults);
		break;
	case REGCHAN_SET_IRQ:
		set_irq(new_irq_fd);
		break;
	case REGCHAN_RESET:
		move_output();
		uart_reset(&uart);
		break;
	}
	if (faulty)
		fault_crash_at(&faults, FAULT_POINT_USED);
	return true;
}

/*
 * Serve what has come, a round's worth at most.  Return: 1 there may be more;
 * 0 the core has closed; -EAGAIN no more, or another -errno.
 */
static int serve_round(void)
{
	unsigned int i;

	for (i = 0; i < ROUND_MAX_REQUESTS; i++) {
		struct regchan_request core_req;
		int new_irq_fd;
		int got = regchan_take(LINK_FD, &core_req, &new_irq_fd);

		if (got <= 0)
			return got;
		/* Why not has been said. */
		if (!serve(&core_req, new_irq_fd))
			return -EAGAIN;
	}
	return 1;
}

static void handle_link(struct loop_source *source, uint32_t events)
{
	int got = serve_round();

	(void)source;
	(void)events;
	if (got == 0)
		device_link_closed();
	else if (got < 0 && got != -EAGAIN)
		device_fail("register channel: %s", strerror(-got));
}

/* --- life ------------------------------------------------------------------ */

static int start(const struct life_birth *birth)
{
	int err;

	uart_reset(&uart);
	err = chardev_start(birth);
	if (err)
		return err;
	__atomic_store_n(&device_stats->nr_queues, 1, __ATOMIC_RELAXED);
	loop_set_round_hook(end_round);
	return loop_add(&link_source, LINK_FD, EPOLLIN);
}

/*
 * The guest's last words may still be in the channel: STOP comes by another,
 * and epoll does not tell which of the two was first.
 */
static void stop(void)
{
	(void)serve_round();
	end_round();
	chardev_finish();
	loop_quit(0);
}

static const struct device_ops serial_ops = {
	.role = "serial",
	.life_role = LIFE_ROLE_SERIAL,
	.policy = &policy_serial,
	.option = chardev_option,
	.acquire = chardev_acquire,
	.help = CHARDEV_HELP,
	.capabilities = "{\"type\": \"serial\"}",
	.open = chardev_open,
	.start = start,
	.stop = stop,
	.attach = chardev_attach,
};

int main(int argc, char **argv)
{
	return device_main(&serial_ops, argc, argv);
}
