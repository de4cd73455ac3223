/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A UART as registers and nothing else: no file, no clock, no system
 * call.  Used by bulkhead-serial; the far end of the line is whoever calls
 * uart_tx_take() and uart_rx_put().
 *
 * Register and bit names are those of the National PC16550D and TI TL16C550C
 * data sheets.  The line has no bit rate: a character takes no time, so the
 * four character times of the timeout indication have always just passed.
 */
#ifndef DEVPROC_UART_H
#define DEVPROC_UART_H

#include <stdbool.h>
#include <stdint.h>

#define UART_NR_REGISTERS	8
#define UART_FIFO_BYTES		16

struct uart {
	uint8_t ier;
	uint8_t fcr;		/* FIFO enable and trigger level bits only */
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scr;
	uint8_t dll;
	uint8_t dlm;
	uint8_t lsr_errors;	/* OE, BI: latched until LSR is read */
	uint8_t msr_deltas;	/* DCTS, DDSR, TERI, DDCD, likewise for MSR */
	bool thre_pending;	/* THRE interrupt: set and not yet taken */
	bool line;		/* INTR as it reaches the bus, gated by OUT2 */
	bool pulse;		/* an edge is owed to the interrupt controller */
	bool identified;	/* IIR was read since the last pulse */

	uint8_t rx_head;	/* index of the oldest character */
	uint8_t rx_len;		/* 0..UART_FIFO_BYTES; at most 1 without FIFO */
	uint8_t tx_len;		/* likewise; tx[0] is the oldest */
	uint8_t rx[UART_FIFO_BYTES];
	bool rx_break[UART_FIFO_BYTES];	/* that character is a break */
	uint8_t tx[UART_FIFO_BYTES];
};

/* Power-on values; also the state that a zeroed struct must be brought to. */
void uart_reset(struct uart *uart);

/* One access by the guest; offset < UART_NR_REGISTERS. */
uint8_t uart_read(struct uart *uart, unsigned int offset);
void uart_write(struct uart *uart, unsigned int offset, uint8_t value);

/* True if the next write to THR would find no place and be lost. */
bool uart_tx_full(const struct uart *uart);

/* Take at most max characters that the guest sent.  Return: how many. */
unsigned int uart_tx_take(struct uart *uart, uint8_t *buf, unsigned int max);

/* Characters that uart_rx_put() can take now without an overrun. */
unsigned int uart_rx_room(const struct uart *uart);

/* A character arrives on the line. */
void uart_rx_put(struct uart *uart, uint8_t byte);

/*
 * True once for each edge that the interrupt controller must see.  The line
 * is an edge-triggered ISA interrupt: an edge is owed when the line rises, and
 * again when the guest has served one cause and another is left.
 */
bool uart_take_pulse(struct uart *uart);

#endif
