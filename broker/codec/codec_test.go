package codec

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := rapid.Uint64().Draw(t, "uvarint"), rapid.Uint64().Draw(t, "fixed")
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		text, yes := rapid.String().Draw(t, "text"), rapid.Bool().Draw(t, "bool")
		b := AppendBool(AppendBytes(AppendBytes(AppendFixed(AppendUvarint(nil, v), w), data), text), yes)
		r := NewReader(b)
		if r.Uvarint() != v || r.Fixed() != w || !bytes.Equal(r.Bytes(), data) || r.String() != text || r.Bool() != yes {
			t.Fatal("something else came back")
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		r = NewReader(b[:cut])
		r.Uvarint()
		r.Fixed()
		r.Bytes()
		_ = r.String()
		r.Bool()
		if r.Err() != ErrMalformed {
			t.Fatalf("%d of %d bytes read as the whole", cut, len(b))
		}
	})
}

func TestMalformed(t *testing.T) {
	for name, read := range map[string]func() *Reader{
		"a uvarint of eleven bytes":  func() *Reader { r := NewReader(bytes.Repeat([]byte{0xff}, 11)); r.Uvarint(); return r },
		"a uvarint longer than need": func() *Reader { r := NewReader([]byte{0x80, 0x00}); r.Uvarint(); return r },
		"a bool of 2":                func() *Reader { r := NewReader([]byte{2}); r.Bool(); return r },
		"a length beyond the end":    func() *Reader { r := NewReader([]byte{200, 1, 0}); r.Bytes(); return r },
		"a count beyond the end":     func() *Reader { r := NewReader([]byte{3, 0, 0}); r.Count(1); return r },
	} {
		r := read()
		if r.Err() != ErrMalformed || r.Uvarint() != 0 || r.Bytes() != nil || r.Len() != 0 {
			t.Errorf("%s is not refused, or something is read behind it", name)
		}
	}
	if NewReader([]byte{0}).Close() != ErrMalformed {
		t.Error("bytes left over are not refused")
	}
}

// What a reader returns can be appended to without touching what follows.
func TestBytesAreCapped(t *testing.T) {
	b := AppendBytes(AppendBytes(nil, "ab"), "cd")
	r := NewReader(b)
	_ = append(r.Bytes(), 'x')
	if got := r.String(); got != "cd" {
		t.Errorf("what follows is now %q", got)
	}
}
