/* SPDX-License-Identifier: Apache-2.0 */
/* Feature and status bits that every virtio device shares (virtio 1.2, 6). */
#ifndef DEVPROC_VIRTIO_BITS_H
#define DEVPROC_VIRTIO_BITS_H

#define VIRTIO_F_INDIRECT_DESC_BIT	28
#define VIRTIO_F_EVENT_IDX_BIT		29
#define VIRTIO_F_VERSION_1_BIT		32
#define VIRTIO_F_RING_PACKED_BIT	34

/* virtio 1.2, 6: bits 0 to 23 are the device type's own */
#define VIRTIO_DEVICE_FEATURES_MASK	0xffffffull

/* virtio 1.2, 2.1 */
#define VIRTIO_STATUS_NEEDS_RESET_MASK	0x40u

#endif
