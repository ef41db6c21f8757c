// Package digest is the fingerprint of a run: a rolling 128-bit hash over
// everything that happened, in order. Two runs with one digest did the same, and
// where two differ the text form shows the first step at which they parted.
//
// The hash is written out here and depends on nothing but what is noted: not on
// the process, the architecture or the version of Go. It is not for secrets.
package digest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"github.com/reprise-mq/reprise/broker/env"
)

// Digest takes notes.
type Digest struct {
	high, low uint64
	notes     uint64
	text      *bufio.Writer // nil: no text
}

// New gives a digest of nothing. If text is not nil, each note is also written
// there as a line.
func New(text io.Writer) *Digest {
	d := &Digest{high: 0x6a09e667f3bcc908, low: 0xbb67ae8584caa73b}
	if text != nil {
		d.text = bufio.NewWriterSize(text, 1<<16)
	}
	return d
}

// Note takes in one thing that happened: when, what, to whom, with which number
// and data.
func (d *Digest) Note(at env.Time, what, whom string, number uint64, data []byte) {
	d.notes++
	d.word(uint64(at))
	d.bytes(what)
	d.bytes(whom)
	d.word(number)
	d.raw(data)
	if d.text != nil {
		d.line(at, what, whom, number, data)
	}
}

// String is the digest as 32 hexadecimal digits.
func (d *Digest) String() string { return fmt.Sprintf("%016x%016x", d.high, d.low) }

// Notes is the number of notes taken.
func (d *Digest) Notes() uint64 { return d.notes }

// Close writes out what is left of the text.
func (d *Digest) Close() error {
	if d.text == nil {
		return nil
	}
	return d.text.Flush()
}

// line writes a note for people. A failure shows at Close.
func (d *Digest) line(at env.Time, what, whom string, number uint64, data []byte) {
	sum := New(nil)
	sum.raw(data)
	fmt.Fprintf(d.text, "%d.%09d %-8s %-24s %d %dB %08x\n",
		at/env.Second, at%env.Second, what, whom, number, len(data), uint32(sum.low))
}

func (d *Digest) bytes(s string) {
	d.word(uint64(len(s)))
	var w uint64
	for i := range len(s) {
		w = w<<8 | uint64(s[i])
		if i%8 == 7 {
			d.word(w)
			w = 0
		}
	}
	d.word(w)
}

func (d *Digest) raw(b []byte) {
	d.word(uint64(len(b)))
	for ; len(b) >= 8; b = b[8:] {
		d.word(binary.LittleEndian.Uint64(b))
	}
	var last [8]byte
	copy(last[:], b)
	d.word(binary.LittleEndian.Uint64(last[:]))
}

// word rolls 64 bits in: one half by a full-width multiplication, the other by a
// step that can be undone, so that no input can make both forget.
func (d *Digest) word(w uint64) {
	high, low := bits.Mul64(d.high^w, 0x9e3779b97f4a7c15)
	d.low = bits.RotateLeft64((d.low^w)*0xd6e8feb86659fd93, 31) + d.high
	d.high = high ^ low
}
