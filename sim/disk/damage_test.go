package disk

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// Whatever damages a file and writes parts of it again: the platter is called whole just
// when it has what was written, and every sector of it can be read.
func TestWholeIsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const name = "g.seg"
		s := newSick(t)
		s.handle.Create(name, 0)
		if err := s.sync(""); err != nil {
			rt.Fatal(err)
		}
		var written []byte // as it should stand
		lost := map[int64]bool{}
		put := func(from, to int64) {
			s.handle.WriteAt(name, from, written[from:to])
			for sec := from / sector; sec <= (to-1)/sector; sec++ {
				delete(lost, sec)
			}
		}
		sync := func() {
			if err := s.sync(name); err != nil {
				rt.Fatal(err)
			}
		}
		position := func(label string) int64 { return rapid.Int64Range(0, int64(len(written))-1).Draw(rt, label) }
		grow := func(*rapid.T) {
			from := int64(len(written))
			n := rapid.IntRange(1, 2*sector).Draw(rt, "bytes")
			written = append(written, rapid.SliceOfN(rapid.Byte(), n, n).Draw(rt, "data")...)
			put(from, int64(len(written)))
			sync()
		}
		grow(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"grow": grow,
			"flip": func(rt *rapid.T) { s.Flip(name, position("bit"), uint(rapid.IntRange(0, 7).Draw(rt, "number"))) },
			"lose": func(rt *rapid.T) {
				if at := position("sector"); s.Lose(name, at) {
					lost[at/sector] = true
				}
			},
			"write again": func(rt *rapid.T) {
				from := position("from")
				put(from, rapid.Int64Range(from+1, int64(len(written))).Draw(rt, "to"))
				sync()
			},
			"": func(rt *rapid.T) {
				right := bytes.Equal(s.Platter(name), written) && len(lost) == 0
				if s.Whole(name) != right || (s.Spoilt() == name) == right {
					rt.Fatalf("whole: %v, spoilt %q; it is %v that the platter has what was written, with %d lost sectors",
						s.Whole(name), s.Spoilt(), right, len(lost))
				}
				below := rapid.Int64Range(0, int64(len(written))).Draw(rt, "below")
				wrong := !bytes.Equal(s.Platter(name)[:below], written[:below])
				for sec := range lost {
					wrong = wrong || sec*sector < below
				}
				if s.Damaged(name, below) != wrong {
					rt.Fatalf("damaged below %d of %d: %v, and it is %v", below, len(written), !wrong, wrong)
				}
			},
		})
	})
}
