package idle

import (
	"math"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
)

func TestClock(t *testing.T) {
	const hour = 60 * MaxStep
	for _, test := range []struct {
		name   string
		stamps []api.Milliseconds
		want   api.Milliseconds
	}{
		{"steps add up", []api.Milliseconds{0, 10, 10, 25}, 25},
		{"a leap counts as one step", []api.Milliseconds{0, 1000 * hour}, MaxStep},
		{"time goes on after a leap", []api.Milliseconds{0, 1000 * hour, 1000*hour + 7}, MaxStep + 7},
		{"back counts nothing", []api.Milliseconds{0, 100, 40}, 100},
		{"time goes on from where it went back to", []api.Milliseconds{0, 100, 40, 50}, 110},
		{"two leaders far apart", []api.Milliseconds{0, 5 * hour, 1, 5 * hour, 1}, 2 * MaxStep},
		{"before 1970", []api.Milliseconds{-50, -20}, 30},
		{"from end to end", []api.Milliseconds{math.MinInt64, math.MaxInt64, math.MinInt64}, MaxStep},
	} {
		var c Clock
		for _, stamp := range test.stamps {
			c.Advance(stamp)
		}
		if c.Elapsed() != test.want {
			t.Errorf("%s: %d ms elapsed, want %d", test.name, c.Elapsed(), test.want)
		}
		restored, ok := ReadClock(codec.NewReader(c.Append(nil)))
		if !ok || restored != c {
			t.Errorf("%s: restored as %v, %t, want %v", test.name, restored, ok, c)
		}
	}
}

func TestClockStopsAtTheEndOfTime(t *testing.T) {
	c := Clock{elapsed: math.MaxInt64 - 3}
	c.Advance(1000)
	if c.Elapsed() != math.MaxInt64 {
		t.Errorf("%d ms elapsed", c.Elapsed())
	}
}

func TestReadClockRefuses(t *testing.T) {
	negative := codec.AppendUvarint(codec.AppendUvarint(nil, 1), math.MaxUint64)
	for _, data := range [][]byte{nil, {1}, negative} {
		if c, ok := ReadClock(codec.NewReader(data)); ok {
			t.Errorf("%x was read as %v", data, c)
		}
	}
}
