/* SPDX-License-Identifier: Apache-2.0 */
/* For cppcheck, which reads no header of the system: macros that are loops. */
#define json_array_foreach(array, index, value) \
	for ((index) = 0; ((value) = json_array_get((array), (index))); (index)++)
#define json_object_foreach(object, key, value) \
	for (void *it = json_object_iter(object); \
	     ((key) = json_object_iter_key(it), \
	      (value) = json_object_iter_value(it)); \
	     it = json_object_iter_next((object), it))
