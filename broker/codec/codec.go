// Package codec has the primitives of the project's own byte formats: the
// commands in a raft log, the states in a state frame, the records of the
// journal. The same value always gives the same bytes, on every machine and in
// every version; that is why protobuf, which promises no such thing, is not used
// there.
//
//	uvarint  unsigned LEB128, at most 10 bytes (encoding/binary)
//	fixed    8 bytes, little-endian
//	bytes    uvarint length, then the bytes
//
// It owns no format: each is drawn in the package that writes it.
package codec

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed: the bytes are not what the reader was asked for: too short, a
// length beyond the end, or left over.
var ErrMalformed = errors.New("malformed bytes")

// AppendUvarint appends v.
func AppendUvarint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// AppendFixed appends v in 8 bytes.
func AppendFixed(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

// AppendBytes appends a length and the bytes.
func AppendBytes[T string | []byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// AppendBool appends one byte, 0 or 1.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// Reader takes values off a byte slice. After the first value that is not there
// every further one is zero, and Err says so; so a decoder reads all its fields
// and checks once. What it returns aliases the slice.
type Reader struct {
	rest []byte
	err  error
}

// NewReader reads from b.
func NewReader(b []byte) *Reader { return &Reader{rest: b} }

// Uvarint reads what AppendUvarint wrote; a longer form of the same number is
// malformed, so that a value has one encoding only.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || n > 1 && r.rest[n-1] == 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Fixed reads what AppendFixed wrote.
func (r *Reader) Fixed() uint64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	b := r.take(1)
	if b == nil {
		return 0
	}
	return b[0]
}

// Bool reads what AppendBool wrote; a byte other than 0 and 1 is malformed.
func (r *Reader) Bool() bool {
	b := r.Byte()
	if b > 1 {
		r.fail()
	}
	return b == 1
}

// Bytes reads what AppendBytes wrote.
func (r *Reader) Bytes() []byte {
	n := r.Uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	return r.take(int(n))
}

// String reads what AppendBytes wrote, copied.
func (r *Reader) String() string { return string(r.Bytes()) }

// Count reads a uvarint that says how many elements of at least size bytes each
// follow; a count that cannot fit in what is left is malformed. So no count in
// bad bytes makes a caller allocate more than the input is long.
func (r *Reader) Count(size int) int {
	n := r.Uvarint()
	if n > uint64(len(r.rest)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

// Len is the number of bytes left.
func (r *Reader) Len() int { return len(r.rest) }

// Err is nil while every value read was there.
func (r *Reader) Err() error { return r.err }

// Close is Err, and an error too if bytes are left over.
func (r *Reader) Close() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail()
	}
	return r.err
}

func (r *Reader) take(n int) []byte {
	if n > len(r.rest) {
		r.fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *Reader) fail() {
	r.err = ErrMalformed
	r.rest = nil
}
