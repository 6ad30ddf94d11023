/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/numbers.h"

void rows_add(struct rows *rows, enum plan_map map, uint32_t key, bool del)
{
	vec_push(&rows->row[rows->phase],
		 (struct plan_row){ .map = map, .key = key, .value = key, .del = del });
}

void rows_clear(struct rows *rows)
{
	for (int phase = 0; phase < PLAN_PHASES; phase++)
		rows->row[phase].n = 0;
	rows->phase = PLAN_PREPARE;
}

void rows_done(struct rows *rows)
{
	for (int phase = 0; phase < PLAN_PHASES; phase++)
		vec_done(&rows->row[phase]);
}

void numbers_init(struct numbers *numbers, struct rows *rows, enum plan_map map, uint32_t first,
		  uint32_t limit)
{
	*numbers = (struct numbers){
		.rows = rows, .map = map, .first = first, .limit = limit, .hint = first
	};
	numbers->grave.prev = numbers->grave.next = &numbers->grave;
}

void numbers_done(struct numbers *numbers)
{
	for (size_t i = 0; i < numbers->by_number.n; i++)
		if (numbers->by_number.v[i])
			numbers->free(numbers->ctx, numbers->by_number.v[i]);
	vec_done(&numbers->by_number);
	hmap_done(&numbers->by_content);
}

struct number *numbers_get(const struct numbers *numbers, uint32_t n)
{
	return n < numbers->by_number.n ? numbers->by_number.v[n] : NULL;
}

static void place(struct numbers *numbers, struct number *number, uint32_t hash, uint32_t n)
{
	while (numbers->by_number.n <= n)
		vec_push(&numbers->by_number, NULL);
	numbers->by_number.v[n] = number;
	number->number = n;
	number->born = numbers->rows->build;
	numbers->used++;
	numbers->over += n >= numbers->limit;
	numbers->beyond += n >= numbers->limit;
	hmap_add(&numbers->by_content, &number->node, hash);
}

void numbers_add(struct numbers *numbers, struct number *number, uint32_t hash)
{
	while (numbers_get(numbers, numbers->hint))
		numbers->hint++;
	place(numbers, number, hash, numbers->hint);
	number->refs = 1;
	numbers->hint++;
	number_write(numbers, number);
}

static void bury(struct numbers *numbers, struct number *number)
{
	number->dead = numbers->rows->build;
	number->next = &numbers->grave;
	number->prev = numbers->grave.prev;
	number->prev->next = number;
	numbers->grave.prev = number;
}

static void dig_out(struct number *number)
{
	number->prev->next = number->next;
	number->next->prev = number->prev;
}

void numbers_restore(struct numbers *numbers, struct number *number, uint32_t hash, uint32_t n)
{
	place(numbers, number, hash, n);
	number->born = 0;
	number->refs = 0;
	bury(numbers, number);
}

void number_ref(struct numbers *numbers, struct number *number)
{
	numbers->beyond += number->number >= numbers->limit;
	if (number->refs++)
		return;
	dig_out(number);
	if (numbers->live)
		numbers->live(numbers->ctx, number);
}

void number_unref(struct numbers *numbers, struct number *number)
{
	if (--number->refs)
		return;
	bury(numbers, number);
	if (numbers->die)
		numbers->die(numbers->ctx, number);
}

void number_write(struct numbers *numbers, const struct number *number)
{
	rows_add(numbers->rows, numbers->map, number->number, false);
}

static void drop(struct numbers *numbers, struct number *number)
{
	dig_out(number);
	hmap_del(&numbers->by_content, &number->node);
	numbers->by_number.v[number->number] = NULL;
	numbers->used--;
	numbers->over -= number->number >= numbers->limit;
	if (number->number < numbers->hint)
		numbers->hint = number->number;
	numbers->free(numbers->ctx, number);
}

void numbers_grace(struct numbers *numbers, uint64_t build)
{
	struct number *grave = &numbers->grave;

	while (grave->next != grave && grave->next->dead <= build)
		drop(numbers, grave->next);
}

void numbers_abort(struct numbers *numbers, uint64_t build)
{
	struct number *grave = &numbers->grave;

	for (struct number *number = grave->prev, *before; number != grave; number = before) {
		before = number->prev;
		if (number->dead != build)
			break;
		if (number->born == build)
			drop(numbers, number);
	}
}
