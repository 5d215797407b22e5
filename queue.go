package kafka

// A queue is a first-in-first-out list over a ring of memory.
type queue[T any] struct {
	mem  []T
	head int
	n    int
}

func (q *queue[T]) len() int { return q.n }

func (q *queue[T]) push(v T) {
	if q.n == len(q.mem) {
		grown := make([]T, max(8, 2*len(q.mem)))
		for i := range q.n {
			grown[i] = q.mem[(q.head+i)%len(q.mem)]
		}
		q.mem, q.head = grown, 0
	}
	q.mem[(q.head+q.n)%len(q.mem)] = v
	q.n++
}

// pop takes the first; the queue must not be empty.
func (q *queue[T]) pop() T {
	var zero T
	v := q.mem[q.head]
	q.mem[q.head] = zero
	q.head = (q.head + 1) % len(q.mem)
	q.n--
	return v
}

// keep drops the others; those that stay keep their order.
func (q *queue[T]) keep(keep func(T) bool) {
	for range q.n {
		if v := q.pop(); keep(v) {
			q.push(v)
		}
	}
}

// front gives the first without taking it.
func (q *queue[T]) front() T { return q.mem[q.head] }

// at gives the i-th without taking it.
func (q *queue[T]) at(i int) T { return q.mem[(q.head+i)%len(q.mem)] }
