/* SPDX-License-Identifier: Apache-2.0 */
/* A 16550's settings, kept for its rebirth (C7), see uart_shadow.h. */
#include "vmm-core/uart_shadow.h"

/* PC16550D data sheet: registers by offset, some behind DLAB */
enum { DLL = 0, DLM = 1, IER = 1, FCR = 2, LCR = 3, MCR = 4, SCR = 7 };

#define LCR_DLAB	0x80u
#define FCR_KEPT	0xc1u	/* enable, trigger level; the rest are actions */

static void note_byte(struct uart_shadow *shadow, unsigned int offset,
		      uint8_t value)
{
	if (shadow->lcr & LCR_DLAB && offset <= DLM) {
		shadow->divisor[offset] = value;
		shadow->has_divisor = true;
		return;
	}
	switch (offset) {
	case IER:
		shadow->ier = value;
		break;
	case FCR:
		shadow->fcr = value & FCR_KEPT;
		break;
	case LCR:
		shadow->lcr = value;
		break;
	case MCR:
		shadow->mcr = value;
		break;
	case SCR:
		shadow->scr = value;
		break;
	}
}

/* An access wider than a byte is one access per byte at ascending addresses. */
void uart_shadow_note(struct uart_shadow *shadow, unsigned int offset,
		      unsigned int size, uint32_t value)
{
	for (unsigned int i = 0; i < size; i++)
		note_byte(shadow, offset + i, (uint8_t)(value >> 8 * i));
}

/*
 * IER last: with it comes the interrupt that a driver with output in hand
 * waits for (THR is empty), through lines that are set up by then.
 */
unsigned int uart_shadow_replay(const struct uart_shadow *shadow,
				struct uart_write out[UART_SHADOW_MAX_WRITES])
{
	const uint8_t no_dlab = shadow->lcr & (uint8_t)~LCR_DLAB;
	const uint8_t dlab = shadow->lcr | (uint8_t)LCR_DLAB;
	unsigned int nr = 0;

	if (shadow->has_divisor) {
		out[nr++] = (struct uart_write){ LCR, dlab };
		out[nr++] = (struct uart_write){ DLL, shadow->divisor[DLL] };
		out[nr++] = (struct uart_write){ DLM, shadow->divisor[DLM] };
	}
	out[nr++] = (struct uart_write){ LCR, no_dlab };
	out[nr++] = (struct uart_write){ FCR, shadow->fcr };
	out[nr++] = (struct uart_write){ MCR, shadow->mcr };
	out[nr++] = (struct uart_write){ SCR, shadow->scr };
	out[nr++] = (struct uart_write){ IER, shadow->ier };
	if (shadow->lcr & LCR_DLAB)
		out[nr++] = (struct uart_write){ LCR, dlab };
	return nr;
}
