/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devproc/uart.c: register sequences as guests make them, interrupts as an
 * edge-triggered controller sees them, and arbitrary writes.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "devproc/uart.h"

enum { THR = 0, RBR = 0, DLL = 0, IER = 1, DLM = 1, IIR = 2, FCR = 2, LCR = 3,
       MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

static struct uart uart;

static void setup(void)
{
	memset(&uart, 0xa5, sizeof(uart));
	uart_reset(&uart);
}

static uint8_t in(unsigned int reg)
{
	return uart_read(&uart, reg);
}

static void out(unsigned int reg, uint8_t value)
{
	uart_write(&uart, reg, value);
}

/* What Linux's start-up leaves behind: FIFOs, 8N1, DTR, RTS, OUT2. */
static void open_port(void)
{
	out(FCR, 0x01);
	out(FCR, 0x07);
	out(LCR, 0x03);
	out(MCR, 0x0b);
	out(FCR, 0x81);
}

static void receive(const char *text)
{
	for (; *text; text++)
		uart_rx_put(&uart, (uint8_t)*text);
}

/* --- tables ---------------------------------------------------------------- */

enum step_op { END, OUT, IN, RX, TAKE, PULSE };

/* IN: value is expected; TAKE: so many characters go; PULSE: 1 owed, 0 not. */
struct step {
	enum step_op op;
	uint8_t reg;
	uint8_t value;
};

#define MAX_STEPS 40

static const struct sequence {
	const char *name;
	struct step steps[MAX_STEPS];
} sequences[] = {
	{ "power-on values", {
		{ IN, IER, 0x00 }, { IN, IIR, 0x01 }, { IN, LCR, 0x00 },
		{ IN, MCR, 0x00 }, { IN, LSR, 0x60 }, { IN, MSR, 0xb0 },
		{ IN, SCR, 0x00 }, { IN, RBR, 0x00 },
	} },
	{ "divisor latches hide behind DLAB", {
		{ OUT, LCR, 0x83 }, { OUT, DLL, 0x12 }, { OUT, DLM, 0x34 },
		{ IN, DLL, 0x12 }, { IN, DLM, 0x34 }, { OUT, LCR, 0x03 },
		{ IN, IER, 0x00 }, { OUT, IER, 0x05 }, { IN, IER, 0x05 },
		{ OUT, LCR, 0x83 }, { IN, DLM, 0x34 },
	} },
	{ "Linux: IER keeps four bits", {
		{ OUT, IER, 0x00 }, { IN, IER, 0x00 }, { OUT, IER, 0x0f },
		{ IN, IER, 0x0f }, { OUT, IER, 0xff }, { IN, IER, 0x0f },
		{ OUT, IER, 0x00 },
	} },
	{ "Linux: loopback test of MCR and MSR", {
		{ OUT, MCR, 0x1a }, { IN, MSR, 0x92 }, { IN, MSR, 0x90 },
		{ OUT, MCR, 0x00 }, { IN, MSR, 0xb2 }, { IN, MSR, 0xb0 },
	} },
	{ "Linux: FCR 1 makes a 16550A, FCR 0 an 8250", {
		{ OUT, LCR, 0xbf }, { OUT, FCR, 0x00 }, { OUT, LCR, 0x00 },
		{ OUT, FCR, 0x01 }, { IN, IIR, 0xc1 }, { OUT, FCR, 0x00 },
		{ IN, IIR, 0x01 },
	} },
	{ "Linux: no EFR, no 64-byte FIFO, no XScale", {
		{ OUT, FCR, 0x01 }, { OUT, LCR, 0x80 }, { IN, FCR, 0xc1 },
		{ OUT, LCR, 0xbf }, { IN, FCR, 0xc1 }, { OUT, LCR, 0x00 },
		{ OUT, FCR, 0x21 }, { IN, IIR, 0xc1 }, { OUT, LCR, 0x80 },
		{ OUT, FCR, 0x21 }, { IN, IIR, 0xc1 }, { OUT, LCR, 0x00 },
		{ OUT, IER, 0x40 }, { IN, IER, 0x00 },
	} },
	{ "Linux: no National SuperIO bank at LCR 0xe0", {
		{ OUT, FCR, 0x01 }, { OUT, LCR, 0xe0 }, { IN, 2, 0xc1 },
		{ OUT, LCR, 0x00 }, { OUT, MCR, 0x10 }, { OUT, LCR, 0xe0 },
		{ IN, 2, 0xc1 }, { OUT, LCR, 0x00 }, { OUT, MCR, 0x00 },
	} },
	{ "Linux: THRE comes again when ETBEI is set again", {
		{ OUT, IER, 0x02 }, { IN, IIR, 0x02 }, { OUT, IER, 0x00 },
		{ OUT, IER, 0x02 }, { IN, IIR, 0x02 }, { IN, IIR, 0x01 },
	} },
	{ "Linux: TXEN test", {
		{ OUT, MCR, 0x08 }, { OUT, IER, 0x02 }, { IN, LSR, 0x60 },
		{ IN, IIR, 0x02 }, { OUT, IER, 0x00 }, { IN, IIR, 0x01 },
	} },
	{ "scratch register keeps its byte", {
		{ OUT, SCR, 0x5a }, { IN, SCR, 0x5a }, { OUT, SCR, 0xa5 },
		{ IN, SCR, 0xa5 },
	} },
	{ "LSR and MSR are read-only", {
		{ OUT, LSR, 0xff }, { IN, LSR, 0x60 }, { OUT, MSR, 0xff },
		{ IN, MSR, 0xb0 }, { OUT, MCR, 0xe0 }, { IN, MCR, 0x00 },
	} },
	{ "transmit: THRE goes with the character and comes back", {
		{ OUT, THR, 'a' }, { IN, LSR, 0x00 }, { TAKE, 0, 1 },
		{ IN, LSR, 0x60 },
	} },
	{ "transmit: interrupt when the last character is taken", {
		{ OUT, FCR, 0x01 }, { OUT, MCR, 0x08 }, { OUT, IER, 0x02 },
		{ PULSE, 0, 1 }, { IN, IIR, 0xc2 }, { PULSE, 0, 0 },
		{ OUT, THR, 'a' }, { OUT, THR, 'b' }, { PULSE, 0, 0 },
		{ TAKE, 0, 1 }, { PULSE, 0, 0 }, { IN, IIR, 0xc1 },
		{ TAKE, 0, 1 }, { PULSE, 0, 1 }, { IN, IIR, 0xc2 },
		{ IN, IIR, 0xc1 }, { PULSE, 0, 0 },
	} },
	{ "transmit: writing THR takes the interrupt back", {
		{ OUT, MCR, 0x08 }, { OUT, IER, 0x02 }, { OUT, THR, 'a' },
		{ PULSE, 0, 0 }, { IN, IIR, 0x01 }, { TAKE, 0, 1 },
		{ PULSE, 0, 1 },
	} },
	{ "transmit: clearing the FIFO empties it", {
		{ OUT, FCR, 0x01 }, { OUT, THR, 'a' }, { OUT, FCR, 0x05 },
		{ IN, LSR, 0x60 }, { TAKE, 0, 0 },
	} },
	{ "receive: trigger level, then timeout, then nothing", {
		{ OUT, FCR, 0x41 }, { OUT, MCR, 0x08 }, { OUT, IER, 0x01 },
		{ RX, 0, 'a' }, { IN, IIR, 0xcc }, { RX, 0, 'b' },
		{ RX, 0, 'c' }, { RX, 0, 'd' }, { IN, IIR, 0xc4 },
		{ IN, RBR, 'a' }, { IN, IIR, 0xcc }, { IN, RBR, 'b' },
		{ IN, RBR, 'c' }, { IN, LSR, 0x61 }, { IN, RBR, 'd' },
		{ IN, LSR, 0x60 }, { IN, IIR, 0xc1 },
	} },
	{ "receive: without FIFO a second character overruns the first", {
		{ OUT, IER, 0x05 }, { RX, 0, 'a' }, { IN, IIR, 0x04 },
		{ RX, 0, 'b' }, { IN, IIR, 0x06 }, { IN, LSR, 0x63 },
		{ IN, IIR, 0x04 }, { IN, RBR, 'b' }, { IN, LSR, 0x60 },
	} },
	{ "receive: clearing the FIFO drops what is there", {
		{ OUT, FCR, 0x01 }, { RX, 0, 'a' }, { OUT, FCR, 0x03 },
		{ IN, LSR, 0x60 }, { IN, RBR, 0x00 },
	} },
	{ "receive: nothing comes in while in loopback", {
		{ OUT, MCR, 0x10 }, { RX, 0, 'a' }, { IN, LSR, 0x60 },
	} },
	{ "loopback: characters return, none goes out", {
		{ OUT, FCR, 0x01 }, { OUT, MCR, 0x10 }, { OUT, THR, 'x' },
		{ IN, LSR, 0x61 }, { TAKE, 0, 0 }, { IN, RBR, 'x' },
		{ IN, LSR, 0x60 },
	} },
	{ "loopback: a break shows at the top of the FIFO only", {
		{ OUT, FCR, 0x01 }, { OUT, MCR, 0x10 }, { OUT, IER, 0x04 },
		{ OUT, THR, 'x' }, { OUT, LCR, 0x43 }, { IN, IIR, 0xc1 },
		{ IN, LSR, 0xe1 }, { IN, RBR, 'x' }, { IN, IIR, 0xc6 },
		{ IN, LSR, 0xf1 }, { IN, LSR, 0x61 }, { IN, RBR, 0x00 },
		{ OUT, LCR, 0x03 }, { IN, LSR, 0x60 },
	} },
	{ "loopback: modem outputs come back with deltas", {
		{ OUT, MCR, 0x10 }, { IN, MSR, 0x0b }, { OUT, MCR, 0x14 },
		{ IN, MSR, 0x40 }, { OUT, MCR, 0x10 }, { IN, MSR, 0x04 },
		{ OUT, IER, 0x08 }, { OUT, MCR, 0x11 }, { IN, IIR, 0x00 },
		{ IN, MSR, 0x22 }, { IN, IIR, 0x01 },
	} },
	{ "priority: line status, data, THRE, modem", {
		{ OUT, FCR, 0x01 }, { OUT, MCR, 0x10 }, { IN, MSR, 0x0b },
		{ OUT, LCR, 0x43 }, { OUT, MCR, 0x11 }, { OUT, IER, 0x0f },
		{ IN, IIR, 0xc6 }, { IN, LSR, 0xf1 }, { IN, IIR, 0xc4 },
		{ IN, RBR, 0x00 }, { IN, IIR, 0xc2 }, { IN, IIR, 0xc0 },
		{ IN, MSR, 0x22 }, { IN, IIR, 0xc1 },
	} },
	{ "edge: OUT2 opens the gate, also late", {
		{ OUT, IER, 0x01 }, { RX, 0, 'a' }, { PULSE, 0, 0 },
		{ IN, IIR, 0x04 }, { OUT, MCR, 0x08 }, { PULSE, 0, 1 },
		{ PULSE, 0, 0 },
	} },
	{ "edge: one for characters that come together", {
		{ OUT, FCR, 0x01 }, { OUT, MCR, 0x08 }, { OUT, IER, 0x01 },
		{ RX, 0, 'a' }, { RX, 0, 'b' }, { PULSE, 0, 1 },
		{ RX, 0, 'c' }, { PULSE, 0, 0 },
	} },
	{ "edge: a cause that is gone before delivery owes none", {
		{ OUT, FCR, 0x01 }, { OUT, MCR, 0x08 }, { OUT, IER, 0x01 },
		{ RX, 0, 'a' }, { IN, RBR, 'a' }, { PULSE, 0, 0 },
	} },
	{ "edge: reading IIR or LSR serves nothing", {
		{ OUT, FCR, 0x01 }, { OUT, MCR, 0x08 }, { OUT, IER, 0x01 },
		{ RX, 0, 'a' }, { PULSE, 0, 1 }, { IN, IIR, 0xc4 },
		{ IN, LSR, 0x61 }, { PULSE, 0, 0 }, { IN, RBR, 'a' },
		{ PULSE, 0, 0 },
	} },
	{ "edge: what is left after one character is announced", {
		{ OUT, FCR, 0x01 }, { OUT, MCR, 0x08 }, { OUT, IER, 0x01 },
		{ RX, 0, 'a' }, { RX, 0, 'b' }, { RX, 0, 'c' },
		{ PULSE, 0, 1 }, { IN, IIR, 0xc4 }, { IN, RBR, 'a' },
		{ PULSE, 0, 1 }, { IN, IIR, 0xc4 }, { IN, RBR, 'b' },
		{ PULSE, 0, 1 }, { IN, RBR, 'c' }, { PULSE, 0, 0 },
	} },
	{ "edge: a second cause behind the first is announced", {
		{ OUT, FCR, 0x01 }, { OUT, MCR, 0x08 }, { OUT, IER, 0x03 },
		{ PULSE, 0, 1 }, { RX, 0, 'a' }, { PULSE, 0, 0 },
		{ IN, IIR, 0xc4 }, { IN, RBR, 'a' }, { PULSE, 0, 1 },
		{ IN, IIR, 0xc2 }, { PULSE, 0, 0 }, { IN, IIR, 0xc1 },
	} },
};

START_TEST(sequence_holds)
{
	const struct sequence *seq = &sequences[_i];
	uint8_t buf[UART_FIFO_BYTES];

	for (unsigned int i = 0; i < MAX_STEPS; i++) {
		const struct step *step = &seq->steps[i];
		unsigned int got = step->value;

		switch (step->op) {
		case END:
			return;
		case OUT:
			out(step->reg, step->value);
			break;
		case IN:
			got = in(step->reg);
			break;
		case RX:
			uart_rx_put(&uart, step->value);
			break;
		case TAKE:
			got = uart_tx_take(&uart, buf, 1);
			break;
		case PULSE:
			got = uart_take_pulse(&uart);
			break;
		}
		ck_assert_msg(got == step->value,
			      "%s: step %u gave 0x%x, not 0x%x", seq->name, i,
			      got, step->value);
	}
}
END_TEST

/* --- whole FIFOs ----------------------------------------------------------- */

/* Linux's size_fifo(): how many come back of 256 in loopback. */
START_TEST(linux_counts_sixteen_in_loopback)
{
	unsigned int count = 0;

	out(FCR, 0x07);
	out(MCR, 0x10);
	out(LCR, 0x03);
	for (unsigned int i = 0; i < 256; i++)
		out(THR, (uint8_t)i);
	for (; (in(LSR) & 0x01) && count < 256; count++)
		ck_assert_uint_eq(in(RBR), count);
	ck_assert_uint_eq(count, 16);
}
END_TEST

START_TEST(transmitter_holds_sixteen_in_order)
{
	uint8_t buf[32];

	open_port();
	for (unsigned int i = 0; i < 16; i++) {
		ck_assert(!uart_tx_full(&uart));
		out(THR, (uint8_t)('a' + i));
	}
	ck_assert(uart_tx_full(&uart));
	ck_assert_uint_eq(uart_tx_take(&uart, buf, 5), 5);
	ck_assert_mem_eq(buf, "abcde", 5);
	ck_assert_uint_eq(uart_tx_take(&uart, buf, sizeof(buf)), 11);
	ck_assert_mem_eq(buf, "fghijklmnop", 11);
	ck_assert_uint_eq(uart_tx_take(&uart, buf, sizeof(buf)), 0);
}
END_TEST

START_TEST(receiver_refuses_the_seventeenth)
{
	open_port();
	ck_assert_uint_eq(uart_rx_room(&uart), 16);
	receive("0123456789abcdef");
	ck_assert_uint_eq(uart_rx_room(&uart), 0);
	receive("X");
	ck_assert_uint_eq(in(LSR), 0x63);
	for (const char *c = "0123456789abcdef"; *c; c++)
		ck_assert_uint_eq(in(RBR), (uint8_t)*c);
	ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

START_TEST(trigger_levels_are_those_of_the_data_sheet)
{
	static const uint8_t level[4] = { 1, 4, 8, 14 };

	open_port();
	out(IER, 0x01);
	out(FCR, (uint8_t)(0x03 | _i << 6));
	for (unsigned int i = 1; i <= 16; i++) {
		receive("z");
		ck_assert_uint_eq(in(IIR), i < level[_i] ? 0xcc : 0xc4);
	}
}
END_TEST

/* --- guests on an edge-triggered controller -------------------------------- */

/*
 * A guest that transmits by interrupt: every pulse runs one handler.  If an
 * edge were lost, the text would not get out.  loops: read IIR until none, as
 * Linux does; else one cause per interrupt.
 */
static void transmit_by_interrupt(bool loops)
{
	const char *text = "The transmitter never stands still for want of an edge.";
	const char *next = text;
	char seen[128];
	size_t nr_seen = 0;
	bool pulse;

	open_port();
	out(IER, 0x03);
	for (unsigned int round = 0; round < 200; round++) {
		pulse = uart_take_pulse(&uart);
		if (round % 3 == 0 && uart_rx_room(&uart) > 3)
			receive("ab");
		while (pulse) {
			uint8_t id = in(IIR) & 0x0f;

			if (id == 0x01)
				break;
			if (id == 0x04 || id == 0x0c)
				in(RBR);
			for (int i = 0; id == 0x02 && i < 16 && *next; i++)
				out(THR, (uint8_t)*next++);
			pulse = loops;
		}
		if (round % 2)
			nr_seen += uart_tx_take(&uart, (uint8_t *)seen + nr_seen, 7);
	}
	ck_assert_uint_eq(nr_seen, strlen(text));
	ck_assert_mem_eq(seen, text, nr_seen);
	ck_assert_msg(uart.rx_len <= 3, "%u characters were never read",
		      uart.rx_len);
}

START_TEST(no_edge_is_lost)
{
	transmit_by_interrupt(_i);
}
END_TEST

/* --- arbitrary guests ------------------------------------------------------ */

/* Return: the invariant that does not hold, or NULL. */
static const char *broken_invariant(void)
{
	unsigned int depth = uart.fcr & 0x01 ? UART_FIFO_BYTES : 1;
	bool gate = (uart.mcr & 0x18) == 0x08;

	if (uart.rx_len > depth || uart.tx_len > depth)
		return "a FIFO holds more than its depth";
	if (uart.rx_head >= UART_FIFO_BYTES || uart_rx_room(&uart) > depth)
		return "the receiver points past its FIFO";
	if (uart.pulse && !uart.line)
		return "an edge is owed for a line that is down";
	if (uart.line && !gate)
		return "the line is up behind a closed gate";
	if ((uart.ier & 0xf0) || (uart.mcr & 0xe0))
		return "bits that the chip does not have";
	return NULL;
}

START_TEST(random_accesses_break_nothing)
{
	unsigned int seed = (unsigned int)_i * 7919 + 1;
	uint8_t buf[32];

	for (unsigned int i = 0; i < 20000; i++) {
		unsigned int what = (unsigned int)rand_r(&seed);
		unsigned int reg = what >> 4 & 7;
		uint8_t value = (uint8_t)(what >> 8);

		switch (what & 7) {
		case 0:
			uart_rx_put(&uart, value);
			break;
		case 1:
			uart_tx_take(&uart, buf, value & 31);
			break;
		case 2:
			uart_take_pulse(&uart);
			break;
		case 3:
		case 4:
			in(reg);
			break;
		default:
			out(reg, value);
			break;
		}
		if (broken_invariant())
			ck_abort_msg("access %u: %s", i, broken_invariant());
	}
	/* Whatever happened, a driver can set the port up again. */
	out(LCR, 0);
	out(IER, 0);
	out(FCR, 0);
	open_port();
	in(LSR);
	in(MSR);
	ck_assert_uint_eq(in(IIR), 0xc1);
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert_uint_eq(in(MSR), 0xb0);
}
END_TEST

int main(void)
{
	const int nr_sequences = sizeof(sequences) / sizeof(*sequences);
	Suite *suite = suite_create("uart");
	TCase *tcase = tcase_create("uart");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, sequence_holds, 0, nr_sequences);
	tcase_add_test(tcase, linux_counts_sixteen_in_loopback);
	tcase_add_test(tcase, transmitter_holds_sixteen_in_order);
	tcase_add_test(tcase, receiver_refuses_the_seventeenth);
	tcase_add_loop_test(tcase, trigger_levels_are_those_of_the_data_sheet,
			    0, 4);
	tcase_add_loop_test(tcase, no_edge_is_lost, 0, 2);
	tcase_add_loop_test(tcase, random_accesses_break_nothing, 0, 20);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
