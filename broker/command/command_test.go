package command

import (
	"encoding/hex"
	"math"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
)

// The bytes stand in logs: a change here is a change of the format.
func TestGolden(t *testing.T) {
	for _, test := range []struct {
		head Head
		want string
	}{
		{Head{Kind: 3, Tag: Tag{Origin: 1, Number: 2}, Now: 4}, "0103010204"},
		{Head{Kind: 255, Tag: Tag{Origin: math.MaxUint64, Number: 300}, Now: 1_700_000_000_000},
			"01ffffffffffffffffffff01ac0280d095ffbc31"},
		{Head{Kind: 1, Now: -1}, "01010000ffffffffffffffffff01"},
	} {
		got := Append(nil, test.head)
		if hex.EncodeToString(got) != test.want {
			t.Errorf("%v is %x, want %s", test.head, got, test.want)
		}
		if back, ok := Read(codec.NewReader(got)); !ok || back != test.head {
			t.Errorf("%x is read as %v, %t", got, back, ok)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(Append(nil, Head{Kind: 3, Tag: Tag{Origin: 1, Number: 2}, Now: api.Milliseconds(4)}))
	f.Add([]byte{2, 1, 0, 0, 0})
	f.Add([]byte{1, 1, 0x80, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := codec.NewReader(data)
		head, ok := Read(r)
		if !ok {
			if head != (Head{}) {
				t.Fatalf("refused, but read as %v", head)
			}
			return
		}
		if again := Append(nil, head); string(again) != string(data[:len(data)-r.Len()]) {
			t.Fatalf("%x is written again as %x", data, again)
		}
	})
}
