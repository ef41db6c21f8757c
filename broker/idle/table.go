package idle

import (
	"container/list"
	"fmt"
	"iter"

	"github.com/reprise-mq/reprise/broker/api"
)

// Expiry is how long an entry must be idle before it is forgotten.
const Expiry api.Milliseconds = 24 * 60 * 60_000

// expiredPerCall bounds the work of Expire. It is above the one entry that a command
// adds, so a table shrinks to what is in use.
const expiredPerCall = 4

// Table is a map of bounded size that forgets what is idle. Each command calls Expire
// once, and after it Use at most once. The work of each method but All and Latest
// is independent of the number of entries.
type Table[K comparable, V any] struct {
	limit int
	byKey map[K]*list.Element
	// byUse holds an *Entry for each in byKey, the longest idle in front: Used never
	// falls from one to the next.
	byUse *list.List
}

// Entry is one entry of a table.
type Entry[K comparable, V any] struct {
	Key K
	// Used is the clock's time at the last use.
	Used  api.Milliseconds
	Value V
}

// NewTable makes a table of at most limit entries.
func NewTable[K comparable, V any](limit int) Table[K, V] {
	return Table[K, V]{limit: limit, byKey: make(map[K]*list.Element), byUse: list.New()}
}

// Len is the number of entries.
func (t *Table[K, V]) Len() int { return t.byUse.Len() }

// Get gives the value of a key, or nil. It can be changed in place until the next
// Use or Expire.
func (t *Table[K, V]) Get(key K) *V {
	e := t.byKey[key]
	if e == nil {
		return nil
	}
	return &entry[K, V](e).Value
}

// Use notes that a key is used when the clock stands at now, and gives its value as
// Get does. A key that is not there is entered with the zero value.
func (t *Table[K, V]) Use(key K, now api.Milliseconds) *V {
	e := t.byKey[key]
	if e == nil {
		if t.Len() >= t.limit {
			panic(fmt.Sprintf("idle: a table of %d entries is full; Expire was not called", t.limit))
		}
		e = t.byUse.PushBack(&Entry[K, V]{Key: key})
		t.byKey[key] = e
	}
	t.byUse.MoveToBack(e)
	entry[K, V](e).Used = now
	return &entry[K, V](e).Value
}

// Expire forgets entries that have been idle for Expiry when the clock stands at
// now: a few at a time, so that some may stay a little longer. In a full table it
// forgets the longest idle in any case, so that there is room for the one that the
// command may add. It gives what it forgot.
func (t *Table[K, V]) Expire(now api.Milliseconds) []*Entry[K, V] {
	var forgotten []*Entry[K, V]
	for range expiredPerCall {
		e := t.byUse.Front()
		if e == nil {
			break
		}
		oldest := entry[K, V](e)
		if t.Len() < t.limit && now-oldest.Used < Expiry {
			break
		}
		delete(t.byKey, oldest.Key)
		t.byUse.Remove(e)
		forgotten = append(forgotten, oldest)
	}
	return forgotten
}

// All walks the entries, the longest idle first: the order in which a saved state
// lists them and Restore takes them.
func (t *Table[K, V]) All() iter.Seq[*Entry[K, V]] {
	return func(yield func(*Entry[K, V]) bool) {
		for e := t.byUse.Front(); e != nil; e = e.Next() {
			if !yield(entry[K, V](e)) {
				return
			}
		}
	}
}

// Latest walks the entries, the latest used first.
func (t *Table[K, V]) Latest() iter.Seq[*Entry[K, V]] {
	return func(yield func(*Entry[K, V]) bool) {
		for e := t.byUse.Back(); e != nil; e = e.Prev() {
			if !yield(entry[K, V](e)) {
				return
			}
		}
	}
}

// Restore enters the next entry of a saved state. It is false, and nothing is
// entered, if no table that All walked by now can have had it there.
func (t *Table[K, V]) Restore(next Entry[K, V], now api.Milliseconds) bool {
	oldest := api.Milliseconds(0)
	if last := t.byUse.Back(); last != nil {
		oldest = entry[K, V](last).Used
	}
	if t.Len() >= t.limit || t.byKey[next.Key] != nil || next.Used < oldest || next.Used > now {
		return false
	}
	t.byKey[next.Key] = t.byUse.PushBack(&next)
	return true
}

func entry[K comparable, V any](e *list.Element) *Entry[K, V] { return e.Value.(*Entry[K, V]) }
