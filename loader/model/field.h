/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder's tables. A kind is a struct and a tree of tables that say, for each field of
 * the JSON object, how it is read and where it goes. Private to model/; docs/adding-a-kind.md
 * shows how a kind is added.
 *
 *	static const struct field spec_fields[] = {
 *		FIELD("cidr", struct ip_pool, cidr, read_prefix, .flags = FIELD_REQUIRED),
 *		FIELD_END
 *	};
 *	static const struct shape spec = { .fields = spec_fields, .check = check_pool };
 *
 * Readers write their member only when the value is right; otherwise they complain. A JSON null
 * is an absent field. In LENIENT mode what FIELD_DROP marks (a field, or an element of a list)
 * is left out when it is bad, and the object stands.
 */
#ifndef MARGAY_MODEL_FIELD_H
#define MARGAY_MODEL_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/decode.h"

/* Where the decoder stands: a key, or (key NULL) a place in a list. NULL is the root. */
struct path {
	const struct path *up;
	const char *key;
	size_t index;
};

struct decode {
	struct arena *arena; /* of the object */
	enum kind kind;
	enum decode_mode mode;
	enum severity as; /* what a complaint is now: ERROR, or DROPPED inside FIELD_DROP */
	bool exact;	  /* inside FIELD_EXACT */
	size_t bad;	  /* complaints that nothing has absorbed */
	const struct doc *doc;
	struct problems *problems;
};

struct field;

/* at: the member, or where the nested struct begins. */
typedef void (*field_reader)(struct decode *d, const struct path *path, const json_t *value,
			     const struct field *field, void *at);

struct enum_text {
	const char *text; /* NULL ends the table */
	int value;
};

/* What an object looks like. */
struct shape {
	const struct field *fields;
	bool open;		    /* fields that are not in the table are no news */
	void (*defaults)(void *at); /* members whose default is not zero; may be NULL */
	/* What one field's reader cannot see, called where all fields were right; may be NULL.
	 * at: the struct. */
	void (*check)(struct decode *d, const struct path *path, const json_t *value, void *at);
	/* LENIENT, a bad element of a FIELD_DROP list: true: at now holds a safe replacement and
	 * stays. NULL: the element is left out. */
	bool (*salvage)(const struct path *path, const json_t *value, void *at);
};

#define FIELD_REQUIRED (1U << 0)
#define FIELD_DROP (1U << 1)
#define FIELD_ANY_CASE (1U << 2)  /* enums: case does not matter */
#define FIELD_HOST_OK (1U << 3)	  /* prefixes: a bare address is a host prefix */
#define FIELD_MASKED (1U << 4)	  /* prefixes: host bits must be zero; else they are cleared */
#define FIELD_KEEP_HOST (1U << 5) /* prefixes: host bits stay */
#define FIELD_NOT_EMPTY (1U << 6) /* strings */
/* In LENIENT mode an unknown field in it makes it bad, at any depth: what a misspelt field of a
 * rule should have narrowed must not be open. */
#define FIELD_EXACT (1U << 7)
/* FIELD_DROP inside a part that is itself FIELD_DROP makes the whole part bad; with this the field
 * alone is left out, since the rest is right without it. */
#define FIELD_DROP_ALONE (FIELD_DROP | 1U << 8)

/* What a reader of its own takes, for the API server's schema (schema.h). OBJECT: by .shape, FLAGS:
 * a list of .enums, EITHER: an integer or a string. */
enum field_json {
	FIELD_JSON_ANY,
	FIELD_JSON_TEXT,
	FIELD_JSON_INT,
	FIELD_JSON_EITHER,
	FIELD_JSON_OBJECT,
	FIELD_JSON_FLAGS,
	FIELD_JSON_INT_MAP,
	FIELD_JSON_INT_LIST /* null for none */
};

struct field {
	const char *name;
	field_reader read;
	size_t offset;
	size_t size; /* of the member; lists: of an element */
	unsigned int flags;
	long long min;	  /* integers; both 0: any that fits 0 and up */
	long long max;	  /* integers; strings and lists: longest, 0: 4096 bytes, 100000 elements */
	unsigned int has; /* bit + 1 to set at has_offset (uint64_t) when read; 0: none */
	size_t has_offset;
	union {
		const struct enum_text *enums;
		const struct shape *shape;	    /* read_object */
		const struct field *element;	    /* read_list */
		bool (*is_valid)(const char *text); /* read_text */
	};
	const char *what; /* read_text: what is_valid asks for, "a DNS label" */
	enum field_json json;
};

#define FIELD(field_name, type, member, reader, ...)                                               \
	{ .name = field_name,                                                                      \
	  .read = reader,                                                                          \
	  .offset = offsetof(type, member),                                                        \
	  .size = sizeof(((type *)0)->member),                                                     \
	  ##__VA_ARGS__ }

/* A nested object whose fields go into the same struct. */
#define FIELD_SAME(field_name, object_shape, ...)                                                  \
	{ .name = field_name, .read = read_object, .shape = object_shape, ##__VA_ARGS__ }

/* A list into two neighbouring members, `size_t count; T *v;`. */
#define FIELD_LIST(field_name, type, count_member, vector_member, element_field, ...)              \
	{ .name = field_name,                                                                      \
	  .read = read_list,                                                                       \
	  .offset = offsetof(type, count_member) +                                                 \
		    0 * sizeof(char[offsetof(type, vector_member) ==                               \
						    offsetof(type, count_member) + sizeof(size_t)  \
					    ? 1                                                    \
					    : -1]),                                                \
	  .size = sizeof(*((type *)0)->vector_member),                                             \
	  .element = element_field,                                                                \
	  ##__VA_ARGS__ }

/* A field that the API has and nothing here needs. */
#define FIELD_KNOWN(field_name) { .name = field_name, .read = read_nothing }

#define FIELD_END { .name = NULL }

/* Reports; complain() also makes what is being read bad. */
void complain(struct decode *d, const struct path *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* As complain(), of something that the caller leaves out by itself: in LENIENT mode it is
 * PROBLEM_DROPPED and nothing is bad. */
void complain_drop(struct decode *d, const struct path *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void warn_of(struct decode *d, const struct path *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A field that no table has: a warning, or inside FIELD_EXACT a complaint. */
void warn_unknown(struct decode *d, const struct path *path);

/* complain() that the value is of the wrong JSON type. */
void complain_type(struct decode *d, const struct path *path, const json_t *value,
		   const char *wanted);

/* Reads one field with its flags. true: it was right (or absorbed and left out: false). */
bool read_field(struct decode *d, const struct path *path, const json_t *value,
		const struct field *field, void *base);

/* Every element of a list (at most max, else a complaint) by row, a FIELD_DROP field whose reader
 * appends to the struct at what is right by itself: for lists whose elements are judged beside
 * the struct's other members. */
void read_rows(struct decode *d, const struct path *path, const json_t *list, size_t max,
	       const struct field *row, void *at);

/* An object by its shape into the struct at base. */
void read_shape(struct decode *d, const struct path *path, const json_t *value,
		const struct shape *shape, void *base);

/* --- readers -------------------------------------------------------------------------------- */

#define READER(name)                                                                               \
	void name(struct decode *d, const struct path *path, const json_t *value,                  \
		  const struct field *field, void *at)

READER(read_nothing);
READER(read_object);	     /* .shape, into at */
READER(read_list);	     /* .element, .size, .max; at: size_t count, T *v */
READER(read_text);	     /* const char *; .max, .is_valid and .what, FIELD_NOT_EMPTY */
READER(read_bool);	     /* bool */
READER(read_int);	     /* unsigned of .size bytes; .min, .max */
READER(read_number);	     /* double */
READER(read_enum);	     /* unsigned of .size bytes; .enums */
READER(read_flags);	     /* unsigned int: a list of .enums, or-ed, each once */
READER(read_addr);	     /* union mg_addr */
READER(read_prefix);	     /* struct mg_prefix; FIELD_HOST_OK, _MASKED, _KEEP_HOST */
READER(read_mac);	     /* uint8_t[6] */
READER(read_labels);	     /* struct labels; STRICT checks keys and values */
READER(read_annotations);    /* struct labels; any values, those that are kept */
READER(read_texts);	     /* struct labels; any values */
READER(read_duration);	     /* uint32_t milliseconds, from Go's "1m30s" */
READER(read_quantity);	     /* uint64_t, from Kubernetes' "10M", rounded up */
READER(read_selector);	     /* const struct selector *, from Calico's expression */
READER(read_label_selector); /* const struct selector *, from Kubernetes' LabelSelector */

/* Writes an unsigned integer of size bytes (1, 2, 4 or 8). */
void store_uint(void *at, size_t size, unsigned long long value);

/* "TCP", "UDP", "SCTP" -> IPPROTO_*. */
extern const struct enum_text transport_protocols[];

/* Whether the value is an integer in min to max; complains if not. */
bool int_in_range(struct decode *d, const struct path *path, const json_t *value, long long min,
		  long long max);

#endif
