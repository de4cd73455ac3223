/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X (PCI Local Bus 3.0, 6.8.2) of one function: the vector table and the
 * pending bits that the guest sees, and which eventfd KVM turns into which
 * interrupt.
 *
 * An interrupt has a source: a virtqueue's call eventfd, or the eventfd of
 * config changes.  Several sources may share a vector.  A source whose vector
 * may fire is assigned to KVM; of any other the eventfd's own count remembers
 * what is pending, and KVM looks at it when the source is assigned again.
 *
 * Context: under the function's lock.
 */
#ifndef VMM_CORE_MSIX_H
#define VMM_CORE_MSIX_H

#include <stdbool.h>
#include <stdint.h>

#define MSIX_MAX_VECTORS	33	/* 32 queues and config changes */
#define MSIX_NO_VECTOR		0xffff	/* virtio 1.2, 4.1.5.1.2: not mapped */
#define MSIX_TABLE_BYTES(n)	((n) * 16u)
#define MSIX_PBA_BYTES(n)	(((n) + 63u) / 64u * 8u)

struct msix_vector {
	uint32_t word[4];	/* address, address high, data, control */
	unsigned int gsi;
};

struct msix_source {
	int event_fd;		/* non-blocking; not owned */
	uint16_t vector;	/* MSIX_NO_VECTOR, or below nr_vectors */
	bool assigned;
};

struct msix {
	const char *name;
	unsigned int nr_vectors;
	unsigned int nr_sources;
	bool enabled;
	bool function_masked;
	bool complained;	/* KVM said no; logged once */
	struct msix_vector vector[MSIX_MAX_VECTORS];
	struct msix_source source[MSIX_MAX_VECTORS];
};

/* One vector per eventfd, all masked.  Return: 0 or -errno of irq_alloc_msi(). */
int msix_init(struct msix *msix, const char *name, const int *event_fds,
	      unsigned int nr);

/* Message Control, bits 15 (enable) and 14 (function mask). */
void msix_set_control(struct msix *msix, uint16_t control);

/* offset and size: naturally aligned and within the table (or the PBA). */
uint32_t msix_table_read(const struct msix *msix, uint32_t offset,
			 unsigned int size);
void msix_table_write(struct msix *msix, uint32_t offset, unsigned int size,
		      uint32_t value);
uint32_t msix_pba_read(const struct msix *msix, uint32_t offset,
		       unsigned int size);

/*
 * Let source fire vector, or nothing (MSIX_NO_VECTOR).  Return: the vector
 * now in force, which is MSIX_NO_VECTOR if there is no such vector.
 */
uint16_t msix_bind(struct msix *msix, unsigned int source, uint16_t vector);

/* All sources to MSIX_NO_VECTOR, nothing pending; the table stays. */
void msix_unbind_all(struct msix *msix);

/* Forget what event_fd counted, without waiting.  Return: was there any? */
bool msix_drain(int event_fd);

/* MSI-X off: was one of the sources [0, nr) signalled since last asked? */
bool msix_take_unsent(struct msix *msix, unsigned int nr);

#endif
