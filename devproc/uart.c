/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register model of a 16550A, inside bulkhead-serial.  Owns the eight
 * registers, both FIFOs and the state of the interrupt line; pure, so that
 * the whole of it can be tested without a process (data path: the place of
 * D3 for a device that has registers instead of rings).
 */
#include <string.h>

#include "devproc/uart.h"

/* PC16550D, summary of registers: by A2..A0, DLAB in parentheses. */
enum {
	REG_RBR_THR = 0,	/* (1): DLL */
	REG_IER = 1,		/* (1): DLM */
	REG_IIR_FCR = 2,
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
};

#define IER_ERBFI	0x01	/* received data available */
#define IER_ETBEI	0x02	/* transmitter holding register empty */
#define IER_ELSI	0x04	/* receiver line status */
#define IER_EDSSI	0x08	/* modem status */
#define IER_MASK	0x0f	/* the rest reads 0 */

/* PC16550D, IIR: by priority. */
#define IIR_LINE_STATUS	0x06
#define IIR_RX_DATA	0x04
#define IIR_RX_TIMEOUT	0x0c
#define IIR_THRE	0x02
#define IIR_MODEM	0x00
#define IIR_NONE	0x01
#define IIR_FIFO_MASK	0xc0	/* set while FCR enables the FIFOs */

#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02
#define FCR_CLEAR_TX	0x04
#define FCR_TRIGGER_MASK	0xc0
#define FCR_TRIGGER_SHIFT	6

#define LCR_BREAK	0x40
#define LCR_DLAB	0x80

#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08
#define MCR_LOOP	0x10
#define MCR_MASK	0x1f

#define LSR_DR		0x01
#define LSR_OE		0x02
#define LSR_BI		0x10
#define LSR_THRE	0x20
#define LSR_TEMT	0x40
#define LSR_FIFO_ERROR	0x80

#define MSR_DCTS	0x01
#define MSR_DDSR	0x02
#define MSR_TERI	0x04
#define MSR_DDCD	0x08
#define MSR_CTS		0x10
#define MSR_DSR		0x20
#define MSR_RI		0x40
#define MSR_DCD		0x80

#define DIVISOR_RESET	12	/* 9600 baud, as firmware leaves it */

static bool fifo_enabled(const struct uart *uart)
{
	return uart->fcr & FCR_ENABLE;
}

/* PC16550D, FCR: bits 6 and 7. */
static unsigned int rx_trigger(const struct uart *uart)
{
	static const uint8_t level[4] = { 1, 4, 8, 14 };

	if (!fifo_enabled(uart))
		return 1;
	return level[(uart->fcr & FCR_TRIGGER_MASK) >> FCR_TRIGGER_SHIFT];
}

static unsigned int fifo_depth(const struct uart *uart)
{
	return fifo_enabled(uart) ? UART_FIFO_BYTES : 1;
}

/* --- interrupts ------------------------------------------------------------ */

/* Causes that are enabled and pending. */
#define CAUSE_LINE_STATUS	0x1
#define CAUSE_RX		0x2
#define CAUSE_THRE		0x4
#define CAUSE_MODEM		0x8

static unsigned int pending_causes(const struct uart *uart)
{
	unsigned int causes = 0;

	if ((uart->ier & IER_ELSI) && uart->lsr_errors)
		causes |= CAUSE_LINE_STATUS;
	if ((uart->ier & IER_ERBFI) && uart->rx_len > 0)
		causes |= CAUSE_RX;
	if ((uart->ier & IER_ETBEI) && uart->thre_pending)
		causes |= CAUSE_THRE;
	if ((uart->ier & IER_EDSSI) && uart->msr_deltas)
		causes |= CAUSE_MODEM;
	return causes;
}

/* PC16550D, IIR: the pending cause of highest priority. */
static uint8_t interrupt_id(const struct uart *uart)
{
	unsigned int causes = pending_causes(uart);

	if (causes & CAUSE_LINE_STATUS)
		return IIR_LINE_STATUS;
	if (causes & CAUSE_RX)
		return uart->rx_len >= rx_trigger(uart) ? IIR_RX_DATA
							: IIR_RX_TIMEOUT;
	if (causes & CAUSE_THRE)
		return IIR_THRE;
	if (causes & CAUSE_MODEM)
		return IIR_MODEM;
	return IIR_NONE;
}

/*
 * Bring the line up to date after a change; served: the guest has just served
 * a cause.  On the board of a PC, OUT2 opens the gate between INTR and the
 * bus, and loopback forces OUT2 inactive (PC16550D, MCR).
 *
 * A guest that serves one cause per interrupt would wait for ever for an edge
 * that does not come while a second cause holds the line up; so once it has
 * read IIR and served something, what is still pending is announced again.  A
 * guest that loops until IIR says none sees at worst one interrupt with
 * nothing to do.
 */
static void update_line(struct uart *uart, bool served)
{
	bool gate = (uart->mcr & MCR_OUT2) && !(uart->mcr & MCR_LOOP);
	bool line = gate && pending_causes(uart) != 0;

	if (line && (!uart->line || (served && uart->identified))) {
		uart->pulse = true;
		uart->identified = false;
	}
	if (!line)
		uart->pulse = false;
	uart->line = line;
}

bool uart_take_pulse(struct uart *uart)
{
	bool pulse = uart->pulse;

	uart->pulse = false;
	return pulse;
}

/* --- receiver -------------------------------------------------------------- */

/* PC16550D, LSR: BI shows when its character is at the top of the FIFO. */
static void rx_show_top(struct uart *uart)
{
	if (uart->rx_len > 0 && uart->rx_break[uart->rx_head]) {
		uart->rx_break[uart->rx_head] = false;
		uart->lsr_errors |= LSR_BI;
	}
}

static void rx_clear(struct uart *uart)
{
	uart->rx_head = 0;
	uart->rx_len = 0;
	memset(uart->rx_break, 0, sizeof(uart->rx_break));
}

static void rx_push(struct uart *uart, uint8_t byte, bool is_break)
{
	unsigned int slot;

	if (uart->rx_len >= fifo_depth(uart)) {
		/*
		 * PC16550D, LSR, OE: with FIFOs the new
		 * character is lost, without them it destroys the one in RBR.
		 */
		uart->lsr_errors |= LSR_OE;
		if (fifo_enabled(uart))
			return;
		rx_clear(uart);
	}
	slot = (uart->rx_head + uart->rx_len) % UART_FIFO_BYTES;
	uart->rx[slot] = byte;
	uart->rx_break[slot] = is_break;
	uart->rx_len++;
	if (uart->rx_len == 1)
		rx_show_top(uart);
}

static uint8_t rx_pop(struct uart *uart)
{
	uint8_t byte;

	if (uart->rx_len == 0)
		return 0;
	byte = uart->rx[uart->rx_head];
	uart->rx_head = (uart->rx_head + 1) % UART_FIFO_BYTES;
	uart->rx_len--;
	rx_show_top(uart);
	return byte;
}

unsigned int uart_rx_room(const struct uart *uart)
{
	/* PC16550D, MCR: loopback disconnects SIN. */
	if (uart->mcr & MCR_LOOP)
		return 0;
	return fifo_depth(uart) - uart->rx_len;
}

void uart_rx_put(struct uart *uart, uint8_t byte)
{
	if (uart->mcr & MCR_LOOP)
		return;
	rx_push(uart, byte, false);
	update_line(uart, false);
}

/* --- transmitter ----------------------------------------------------------- */

/* THR has become empty. */
static void tx_emptied(struct uart *uart)
{
	uart->tx_len = 0;
	uart->thre_pending = true;
}

static void tx_push(struct uart *uart, uint8_t byte)
{
	/* PC16550D, interrupt table: writing THR resets THRE. */
	uart->thre_pending = false;
	if (uart->mcr & MCR_LOOP) {
		rx_push(uart, byte, false);
		if (uart->tx_len == 0)
			tx_emptied(uart);
		return;
	}
	if (!uart_tx_full(uart))
		uart->tx[uart->tx_len++] = byte;
	else
		/* The guest did not wait for THRE: the last one gives way. */
		uart->tx[uart->tx_len - 1] = byte;
}

bool uart_tx_full(const struct uart *uart)
{
	return uart->tx_len >= fifo_depth(uart);
}

unsigned int uart_tx_take(struct uart *uart, uint8_t *buf, unsigned int max)
{
	unsigned int taken = max < uart->tx_len ? max : uart->tx_len;

	if (taken == 0)
		return 0;
	memcpy(buf, uart->tx, taken);
	if (taken < uart->tx_len) {
		uart->tx_len -= taken;
		memmove(uart->tx, uart->tx + taken, uart->tx_len);
		return taken;
	}
	tx_emptied(uart);
	update_line(uart, false);
	return taken;
}

/* --- modem ----------------------------------------------------------------- */

/*
 * The modem inputs: a peer that is there and ready, or in loopback the four
 * outputs: RTS on CTS, DTR on DSR, OUT1 on RI, OUT2 on DCD (PC16550D, MCR).
 */
static uint8_t modem_inputs(uint8_t mcr)
{
	uint8_t inputs = 0;

	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	if (mcr & MCR_RTS)
		inputs |= MSR_CTS;
	if (mcr & MCR_DTR)
		inputs |= MSR_DSR;
	if (mcr & MCR_OUT1)
		inputs |= MSR_RI;
	if (mcr & MCR_OUT2)
		inputs |= MSR_DCD;
	return inputs;
}

static void write_mcr(struct uart *uart, uint8_t value)
{
	uint8_t before = modem_inputs(uart->mcr);
	uint8_t after, changed;

	uart->mcr = value & MCR_MASK;
	after = modem_inputs(uart->mcr);
	changed = before ^ after;
	/* PC16550D, MSR: deltas; TERI only at the trailing edge of RI. */
	if (changed & MSR_CTS)
		uart->msr_deltas |= MSR_DCTS;
	if (changed & MSR_DSR)
		uart->msr_deltas |= MSR_DDSR;
	if (changed & before & MSR_RI)
		uart->msr_deltas |= MSR_TERI;
	if (changed & MSR_DCD)
		uart->msr_deltas |= MSR_DDCD;
}

/* --- registers ------------------------------------------------------------- */

static void write_ier(struct uart *uart, uint8_t value)
{
	uint8_t enabled = value & ~uart->ier;

	uart->ier = value & IER_MASK;
	/*
	 * Enabling ETBEI with THR empty raises THRE at once; Linux's start-up
	 * (8250, THRE and TXEN tests) and every start of transmission rely on it.
	 */
	if ((enabled & IER_ETBEI) && uart->tx_len == 0)
		uart->thre_pending = true;
}

static void write_fcr(struct uart *uart, uint8_t value)
{
	/* PC16550D, FCR: changing FCR0 clears both FIFOs. */
	bool toggled = (value ^ uart->fcr) & FCR_ENABLE;

	/* Ibid.: the other bits are programmed only if FCR0 is written 1. */
	if (!(value & FCR_ENABLE))
		value = 0;
	uart->fcr = value & (FCR_ENABLE | FCR_TRIGGER_MASK);
	if (toggled || (value & FCR_CLEAR_RX))
		rx_clear(uart);
	if ((toggled || (value & FCR_CLEAR_TX)) && uart->tx_len > 0)
		tx_emptied(uart);
}

static void write_lcr(struct uart *uart, uint8_t value)
{
	bool break_starts = (value & ~uart->lcr) & LCR_BREAK;

	uart->lcr = value;
	/* PC16550D, LSR, BI: a break is one zero character, in loopback too. */
	if (break_starts && (uart->mcr & MCR_LOOP))
		rx_push(uart, 0, true);
}

/* PC16550D, interrupt table: reading IIR resets THRE if it reports it. */
static uint8_t read_iir(struct uart *uart)
{
	uint8_t id = interrupt_id(uart);

	if (id == IIR_THRE)
		uart->thre_pending = false;
	uart->identified = true;
	return id | (fifo_enabled(uart) ? IIR_FIFO_MASK : 0);
}

/* PC16550D, LSR: reading it clears OE, BI and the FIFO error summary. */
static uint8_t read_lsr(struct uart *uart)
{
	uint8_t lsr = uart->lsr_errors;
	unsigned int i;

	if (uart->rx_len > 0)
		lsr |= LSR_DR;
	/* The shift register is never busy: THRE and TEMT go together. */
	if (uart->tx_len == 0)
		lsr |= LSR_THRE | LSR_TEMT;
	if (fifo_enabled(uart)) {
		if (uart->lsr_errors & LSR_BI)
			lsr |= LSR_FIFO_ERROR;
		for (i = 0; i < UART_FIFO_BYTES; i++)
			if (uart->rx_break[i])
				lsr |= LSR_FIFO_ERROR;
	}
	uart->lsr_errors = 0;
	return lsr;
}

static uint8_t read_msr(struct uart *uart)
{
	uint8_t msr = modem_inputs(uart->mcr) | uart->msr_deltas;

	uart->msr_deltas = 0;
	return msr;
}

static uint8_t read_register(struct uart *uart, unsigned int offset)
{
	bool dlab = uart->lcr & LCR_DLAB;

	switch (offset) {
	case REG_RBR_THR:
		return dlab ? uart->dll : rx_pop(uart);
	case REG_IER:
		return dlab ? uart->dlm : uart->ier;
	case REG_IIR_FCR:
		return read_iir(uart);
	case REG_LCR:
		return uart->lcr;
	case REG_MCR:
		return uart->mcr;
	case REG_LSR:
		return read_lsr(uart);
	case REG_MSR:
		return read_msr(uart);
	case REG_SCR:
		return uart->scr;
	}
	return 0xff;
}

uint8_t uart_read(struct uart *uart, unsigned int offset)
{
	unsigned int causes = pending_causes(uart);
	unsigned int rx_len = uart->rx_len;
	uint8_t value = read_register(uart, offset);
	bool served = uart->rx_len < rx_len ||
		      (causes & ~pending_causes(uart)) != 0;

	update_line(uart, served);
	return value;
}

void uart_write(struct uart *uart, unsigned int offset, uint8_t value)
{
	unsigned int causes = pending_causes(uart);
	bool dlab = uart->lcr & LCR_DLAB;

	switch (offset) {
	case REG_RBR_THR:
		if (dlab)
			uart->dll = value;
		else
			tx_push(uart, value);
		break;
	case REG_IER:
		if (dlab)
			uart->dlm = value;
		else
			write_ier(uart, value);
		break;
	case REG_IIR_FCR:
		write_fcr(uart, value);
		break;
	case REG_LCR:
		write_lcr(uart, value);
		break;
	case REG_MCR:
		write_mcr(uart, value);
		break;
	case REG_SCR:
		uart->scr = value;
		break;
	default:
		/* LSR is for factory tests only, MSR is read-only. */
		break;
	}
	update_line(uart, (causes & ~pending_causes(uart)) != 0);
}

void uart_reset(struct uart *uart)
{
	/* PC16550D, reset configuration: zero but THRE, TEMT, no interrupt. */
	memset(uart, 0, sizeof(*uart));
	uart->dll = DIVISOR_RESET;
}
