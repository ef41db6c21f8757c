package agenda

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/env"
)

// Events happen in the order of a stable sort by time, whatever is asked for
// while they happen.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type asked struct {
			at     env.Time
			number int
		}
		a := New()
		var all, happened []asked
		var ask func(depth int)
		ask = func(depth int) {
			at := a.Now() + env.Time(rapid.Int64Range(-5, 20).Draw(t, "at"))
			me := asked{max(at, a.Now()), len(all)}
			all = append(all, me)
			a.At(at, func() {
				if a.Now() != me.at {
					t.Fatalf("asked for %d, happened at %d", me.at, a.Now())
				}
				happened = append(happened, me)
				if depth < 3 && rapid.Bool().Draw(t, "more") {
					ask(depth + 1)
				}
			})
		}
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			ask(0)
		}
		for a.Next(1000) {
		}
		slices.SortFunc(all, func(x, y asked) int {
			return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.number, y.number))
		})
		if !slices.Equal(all, happened) {
			t.Fatalf("want %v\ngot  %v", all, happened)
		}
	})
}

func TestLimit(t *testing.T) {
	a := New()
	happened := false
	a.At(10, func() { happened = true })
	if a.Next(9) || happened || a.Now() != 9 {
		t.Fatalf("happened %v before its time, at %d", happened, a.Now())
	}
	if !a.Next(10) || !happened || a.Len() != 0 {
		t.Fatal("did not happen in time")
	}
}
