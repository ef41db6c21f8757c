// Package prng gives streams of pseudo-random numbers that a 64-bit seed
// determines for ever: the algorithms are written out here, so that no upgrade of
// Go changes what a seed means. There are no floats: chances are ratios.
//
// The stream is xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64
// (Steele, Lea and Flood, 2014). It is not for secrets.
package prng

import (
	"encoding/binary"
	"math/bits"
)

// Stream is one sequence of numbers. It is not safe for concurrent use.
type Stream struct {
	seed uint64
	s    [4]uint64
}

// New starts the stream of a seed.
func New(seed uint64) *Stream {
	st := &Stream{seed: seed}
	x := seed
	for i := range st.s {
		x += golden
		st.s[i] = mix(x)
	}
	return st
}

// Split starts another stream, determined by this one's seed and the name alone:
// how much was drawn from either changes nothing in the other.
func (st *Stream) Split(name string) *Stream {
	return New(Hash(st.seed, HashString(name)))
}

// Uint64 draws from all 64-bit numbers.
func (st *Stream) Uint64() uint64 {
	s := &st.s
	result := bits.RotateLeft64(s[1]*5, 7) * 9
	t := s[1] << 17
	s[2] ^= s[0]
	s[3] ^= s[1]
	s[1] ^= s[2]
	s[0] ^= s[3]
	s[2] ^= t
	s[3] = bits.RotateLeft64(s[3], 45)
	return result
}

// Below draws from 0 to n-1, without bias beyond 2^-64·n. n must be above 0.
func (st *Stream) Below(n int64) int64 {
	if n <= 0 {
		panic("prng: Below needs a bound above 0")
	}
	return Scale(st.Uint64(), n)
}

// Between draws from low to high, both included.
func (st *Stream) Between(low, high int64) int64 { return low + st.Below(high-low+1) }

// Chance is true num times out of den.
func (st *Stream) Chance(num, den int64) bool { return st.Below(den) < num }

// Shuffle puts n elements in random order.
func (st *Stream) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, int(st.Below(int64(i+1))))
	}
}

// Read fills p; it makes a Stream an io.Reader and never fails.
func (st *Stream) Read(p []byte) (int, error) {
	n := len(p)
	var word [8]byte
	for len(p) > 0 {
		binary.LittleEndian.PutUint64(word[:], st.Uint64())
		p = p[copy(p, word[:]):]
	}
	return n, nil
}

// Hash draws without a stream: a number determined by the seed and the parts, in
// their order. A fault that is a hash of what it hits does not move when another
// is removed.
func Hash(seed uint64, parts ...uint64) uint64 {
	h := mix(seed + golden)
	for _, p := range parts {
		// The sum sets what was hashed so far apart from the part: without it the
		// two would be interchangeable, and equal ones would cancel out.
		h = mix((h + golden) ^ mix(p+golden))
	}
	return h
}

// HashString is a 64-bit hash of a string (FNV-1a, then mixed).
func HashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// Scale maps a 64-bit draw to 0..n-1. n must be above 0.
func Scale(draw uint64, n int64) int64 {
	high, _ := bits.Mul64(draw, uint64(n))
	return int64(high)
}

const golden = 0x9e3779b97f4a7c15

// mix is the finalizer of splitmix64.
func mix(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}
