package idle

import (
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"pgregory.net/rapid"
)

// model is a table as a plain list, the longest idle first.
type model []Entry[int, string]

func (m model) at(key int) int {
	return slices.IndexFunc(m, func(e Entry[int, string]) bool { return e.Key == key })
}

func (m *model) use(key int, now api.Milliseconds, value string) {
	if i := m.at(key); i >= 0 {
		*m = slices.Delete(*m, i, i+1)
	}
	*m = append(*m, Entry[int, string]{Key: key, Used: now, Value: value})
}

func (m *model) expire(now api.Milliseconds, limit int) []Entry[int, string] {
	n := 0
	for n < expiredPerCall && n < len(*m) && ((*m)[n].Used <= now-Expiry || len(*m)-n == limit) {
		n++
	}
	forgotten := slices.Clone((*m)[:n])
	*m = slices.Delete(*m, 0, n)
	return forgotten
}

func TestTableAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 12).Draw(t, "limit")
		table, want, now := NewTable[int, string](limit), model{}, api.Milliseconds(0)
		for range rapid.IntRange(1, 60).Draw(t, "commands") {
			now += rapid.SampledFrom([]api.Milliseconds{0, 1, Expiry / 5, Expiry - 1, Expiry}).Draw(t, "step")
			var forgotten []Entry[int, string]
			for _, e := range table.Expire(now) {
				forgotten = append(forgotten, *e)
			}
			if expected := want.expire(now, limit); !slices.Equal(forgotten, expected) {
				t.Fatalf("forgot %v, want %v", forgotten, expected)
			}
			key := rapid.IntRange(0, 15).Draw(t, "key")
			value := rapid.StringN(0, 2, 2).Draw(t, "value")
			before := table.Get(key)
			if i := want.at(key); (before != nil) != (i >= 0) || i >= 0 && *before != want[i].Value {
				t.Fatalf("key %d is %v, want %v", key, before, want)
			}
			if rapid.Bool().Draw(t, "use") {
				*table.Use(key, now) = value
				want.use(key, now, value)
			}
			table = restored(t, table, now)
			if got := entries(table); !slices.Equal(got, want) || table.Len() != len(want) {
				t.Fatalf("the table has %v, want %v", got, want)
			}
		}
	})
}

// restored takes a table through All and Restore, and back.
func restored(t *rapid.T, table Table[int, string], now api.Milliseconds) Table[int, string] {
	other := NewTable[int, string](table.limit)
	for e := range table.All() {
		if !other.Restore(*e, now) {
			t.Fatalf("%v cannot be restored at %d", e, now)
		}
	}
	return other
}

func entries(table Table[int, string]) []Entry[int, string] {
	var all []Entry[int, string]
	for e := range table.All() {
		all = append(all, *e)
	}
	return all
}

func TestRestoreRefuses(t *testing.T) {
	const now = 100
	for name, second := range map[string]Entry[int, string]{
		"the same key":               {Key: 1, Used: 50},
		"used before the one before": {Key: 2, Used: 49},
		"used in the future":         {Key: 2, Used: now + 1},
	} {
		table := NewTable[int, string](2)
		if !table.Restore(Entry[int, string]{Key: 1, Used: 50}, now) {
			t.Fatal("a good entry is refused")
		}
		if table.Restore(second, now) || table.Len() != 1 {
			t.Errorf("%s is accepted", name)
		}
	}
	full := NewTable[int, string](1)
	full.Use(1, 0)
	if full.Restore(Entry[int, string]{Key: 2}, now) {
		t.Error("one entry too many is accepted")
	}
}

func TestAllStops(t *testing.T) {
	table := NewTable[int, string](3)
	table.Use(1, 0)
	table.Use(2, 0)
	for e := range table.All() {
		if e.Key != 1 {
			t.Fatalf("the walk went on to %d", e.Key)
		}
		break
	}
}
