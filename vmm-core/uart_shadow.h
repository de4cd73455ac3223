/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest has set up in a 16550 (core process, C7), kept so that a
 * reborn serial device can be told it again: line format, divisor, FIFO
 * control, modem control, interrupt enables, scratch.  Not what passes
 * through it.
 */
#ifndef VMM_CORE_UART_SHADOW_H
#define VMM_CORE_UART_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

#define UART_SHADOW_MAX_WRITES	9	/* of a replay */

struct uart_shadow {
	uint8_t divisor[2];	/* DLL, DLM */
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scr;
	bool has_divisor;	/* the guest wrote it; else it is as at reset */
};

struct uart_write {
	uint8_t offset;
	uint8_t value;
};

/* The guest wrote size bytes of value at offset. */
void uart_shadow_note(struct uart_shadow *shadow, unsigned int offset,
		      unsigned int size, uint32_t value);

/* The writes that bring a chip after reset there.  Return: how many. */
unsigned int uart_shadow_replay(const struct uart_shadow *shadow,
				struct uart_write out[UART_SHADOW_MAX_WRITES]);

#endif
