package batch

import (
	"encoding/binary"

	"github.com/reprise-mq/reprise/broker/api"
)

// cursor takes values off the bytes of records. After the first value that is not
// there it stays bad, so a record is read as a whole and checked once. It never
// allocates: what it returns aliases the bytes.
type cursor struct {
	rest []byte
	bad  bool
}

// view is a record in place, its headers still to be read from tail.
type view struct {
	delta      api.Milliseconds
	key, value []byte
	headers    int
	tail       cursor
}

// record reads the record with the given offset delta.
func (c *cursor) record(offsetDelta int32) view {
	inside := c.take(c.number())
	body := cursor{rest: inside, bad: c.bad}
	attributes := body.take(1)
	r := view{delta: api.Milliseconds(body.varint())}
	if body.varint() != int64(offsetDelta) || body.bad || attributes[0] != 0 {
		body.fail()
	}
	r.key = body.field()
	r.value = body.field()
	r.headers = body.number()
	r.tail = body
	return r
}

// close ends a record: all of it must have been read.
func (c *cursor) close(tail cursor) bool {
	c.bad = c.bad || tail.bad || len(tail.rest) > 0
	return !c.bad
}

func (c *cursor) header() (key, value []byte) {
	key = c.take(c.number())
	return key, c.field()
}

// field reads a length and that many bytes; nil is null.
func (c *cursor) field() []byte {
	n := c.varint()
	if n == -1 {
		return nil
	}
	return c.take(c.bounded(n))
}

// number reads a length or count that cannot be null. What it counts takes a byte
// at least, so no number makes a caller allocate out of proportion to the input.
func (c *cursor) number() int { return c.bounded(c.varint()) }

func (c *cursor) bounded(n int64) int {
	if n < 0 || n > int64(len(c.rest)) {
		c.fail()
		return 0
	}
	return int(n)
}

func (c *cursor) varint() int64 {
	// One byte is by far the commonest.
	if len(c.rest) > 0 && c.rest[0] < 0x80 {
		v := c.rest[0]
		c.rest = c.rest[1:]
		return int64(v>>1) ^ -int64(v&1)
	}
	v, n := binary.Varint(c.rest)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) take(n int) []byte {
	if n > len(c.rest) {
		c.fail()
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) fail() {
	c.bad = true
	c.rest = nil
}
