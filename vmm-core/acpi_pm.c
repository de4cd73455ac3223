/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware of the core process: answered on vCPU threads, the
 * power button on the main thread.  "ACPI" is ACPI 6.4.
 *
 * There is no SMI command port: the machine is in ACPI mode from the start,
 * and SCI_EN always reads as set.  No PM timer, no GPE blocks.
 */
#include "vmm-core/acpi_pm.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "ipc/log.h"
#include "vmm-core/bus.h"
#include "vmm-core/irq.h"
#include "vmm-core/report.h"

/* ACPI, 4.8.3.1: PM1 status and enable */
#define PM1_POWER_BUTTON	(1u << 8)
/* ACPI, 4.8.3.2: PM1 control */
#define PM1_SCI_EN		(1u << 0)
#define PM1_SLEEP_TYPE_SHIFT	10
#define PM1_SLEEP_TYPE_MASK	7u
#define PM1_SLEEP_ENABLE	(1u << 13)

#define RESET_CPU	(1u << 2)	/* of the byte written to PORT_RESET */

struct acpi_pm {
	pthread_mutex_t lock;
	uint16_t status;
	uint16_t enable;
	uint16_t control;	/* without SCI_EN and SLP_EN */
	bool sci;		/* level of the pin */
	struct log_limit log_limit;
};

static struct acpi_pm pm = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ACPI, 4.8.3.1: SCI is up while a status bit is set and enabled. */
static void sci_update(void)
{
	bool level = (pm.status & pm.enable) != 0;
	int err;

	if (level == pm.sci)
		return;
	err = irq_set_level(IRQ_SCI, level);
	if (err)
		log_perr(-err, "KVM_IRQ_LINE of the SCI");
	pm.sci = level;
}

/* Both registers as the guest may read them: by byte, word or dword. */
static uint64_t event_read(void *opaque, uint64_t offset, unsigned int size)
{
	uint64_t both;

	(void)opaque;
	(void)size;
	pthread_mutex_lock(&pm.lock);
	both = pm.status | (uint32_t)pm.enable << 16;
	pthread_mutex_unlock(&pm.lock);
	return both >> (8 * offset);
}

static void event_write(void *opaque, uint64_t offset, unsigned int size,
			uint64_t value)
{
	unsigned int shift = 8 * (unsigned int)offset;
	uint32_t mask = (uint32_t)(((1ull << (8 * size)) - 1) << shift);
	uint32_t bits = (uint32_t)(value << shift) & mask;

	(void)opaque;
	pthread_mutex_lock(&pm.lock);
	/* ACPI, 4.8.3.1.1: a status bit is cleared by writing one to it */
	pm.status &= (uint16_t)~bits;
	pm.enable = (uint16_t)((pm.enable & ~(mask >> 16)) | bits >> 16);
	sci_update();
	pthread_mutex_unlock(&pm.lock);
}

static uint64_t control_read(void *opaque, uint64_t offset, unsigned int size)
{
	uint64_t control;

	(void)opaque;
	(void)size;
	pthread_mutex_lock(&pm.lock);
	control = pm.control | PM1_SCI_EN;
	pthread_mutex_unlock(&pm.lock);
	return control >> (8 * offset);
}

/* ACPI, 4.8.3.2.1: SLP_EN starts the transition to SLP_TYP. */
static void sleep_enter(unsigned int type)
{
	int allowed;

	if (type == SLEEP_TYPE_S5) {
		report_event(LIFE_EVENT_POWEROFF, 0, "guest powered off");
		_exit(EXIT_SUCCESS);
	}
	pthread_mutex_lock(&pm.lock);
	allowed = log_allowed(&pm.log_limit, 4);
	pthread_mutex_unlock(&pm.lock);
	if (allowed)
		log_warn("guest asks for sleep type %u, which this machine does not have",
			 type);
}

static void control_write(void *opaque, uint64_t offset, unsigned int size,
			  uint64_t value)
{
	uint32_t control;

	(void)opaque;
	pthread_mutex_lock(&pm.lock);
	control = pm.control;
	if (size == 1)
		control = offset ? (control & 0xff) | (uint32_t)value << 8 :
				   (control & 0xff00) | (uint32_t)value;
	else
		control = (uint32_t)value;
	pm.control = (uint16_t)(control & ~(PM1_SLEEP_ENABLE | PM1_SCI_EN));
	pthread_mutex_unlock(&pm.lock);

	if (control & PM1_SLEEP_ENABLE)
		sleep_enter(control >> PM1_SLEEP_TYPE_SHIFT &
			    PM1_SLEEP_TYPE_MASK);
}

static uint64_t reset_read(void *opaque, uint64_t offset, unsigned int size)
{
	(void)opaque;
	(void)offset;
	(void)size;
	return 0;
}

/* Intel ICH, RST_CNT: bit 2 resets the CPU, bit 1 says how hard. */
static void reset_write(void *opaque, uint64_t offset, unsigned int size,
			uint64_t value)
{
	(void)opaque;
	(void)offset;
	(void)size;
	if (!(value & RESET_CPU))
		return;
	report_event(LIFE_EVENT_RESET, 0, "guest asked for a reset");
	_exit(EXIT_SUCCESS);
}

void acpi_pm_power_button(void)
{
	pthread_mutex_lock(&pm.lock);
	pm.status |= PM1_POWER_BUTTON;
	sci_update();
	pthread_mutex_unlock(&pm.lock);
}

int acpi_pm_init(void)
{
	static const struct bus_ops event = { event_read, event_write,
					      bus_platform_owner };
	static const struct bus_ops control = { control_read, control_write,
						bus_platform_owner };
	static const struct bus_ops reset = { reset_read, reset_write,
					      bus_platform_owner };
	int err;

	err = bus_add(BUS_PIO, PORT_PM1_EVENT, PORT_PM1_EVENT_LEN, &event,
		      NULL);
	if (!err)
		err = bus_add(BUS_PIO, PORT_PM1_CONTROL, PORT_PM1_CONTROL_LEN,
			      &control, NULL);
	if (!err)
		err = bus_add(BUS_PIO, PORT_RESET, 1, &reset, NULL);
	return err;
}
