/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A: a guest at its registers, a line at its other end. */
#include "devproc/uart.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void check(const struct uart *uart)
{
	fuzz_check(uart->rx_len <= UART_FIFO_BYTES);
	fuzz_check(uart->tx_len <= UART_FIFO_BYTES);
	fuzz_check(uart->rx_head < UART_FIFO_BYTES);
	fuzz_check(uart_rx_room(uart) <= UART_FIFO_BYTES);
}

static void step(struct uart *uart, struct fuzz_input *in)
{
	uint8_t what = (uint8_t)fuzz_take(in, 1);
	unsigned int reg = what & (UART_NR_REGISTERS - 1);
	uint8_t buf[UART_FIFO_BYTES];

	switch (what >> 5) {
	case 0:
	case 1:
		uart_read(uart, reg);
		break;
	case 2:
	case 3:
	case 4:
		uart_write(uart, reg, (uint8_t)fuzz_take(in, 1));
		break;
	case 5:
		fuzz_check(uart_tx_take(uart, buf, what & 15) <=
			   sizeof(buf));
		break;
	case 6:
		/* Also when there is no room: an overrun. */
		uart_rx_put(uart, (uint8_t)fuzz_take(in, 1));
		break;
	case 7:
		uart_take_pulse(uart);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct uart uart = { 0 };

	uart_reset(&uart);
	while (in.left > 0) {
		step(&uart, &in);
		check(&uart);
	}
	return 0;
}
