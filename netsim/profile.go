package netsim

import "fmt"

const (
	million = 1_000_000
	second  = 1_000_000_000
)

// Bounds of a Profile, so that no sum of times overflows: an hour, and ten
// gigabytes a second.
const (
	maxTime  = Time(3600 * second)
	maxSpeed = 10_000_000_000
)

// Profile says how links behave, as data. Chances are per million messages; times
// are nanoseconds. The zero Profile delivers everything at once.
type Profile struct {
	// Latency of every message, and up to Jitter more.
	Latency Time `json:"latency,omitempty"`
	Jitter  Time `json:"jitter,omitempty"`
	// Tail is the chance of up to TailLimit more. On a link in order it holds up
	// those behind it.
	Tail      int64 `json:"tail,omitempty"`
	TailLimit Time  `json:"tail_limit,omitempty"`
	// BytesPerSecond of each direction of a link; 0 is unlimited.
	BytesPerSecond int64 `json:"bytes_per_second,omitempty"`

	// Loss, Duplicate, Reorder and Damage are chances of peer links. A reordered
	// message, and a second copy, comes up to ReorderLimit late, and others pass it.
	Loss         int64 `json:"loss,omitempty"`
	Duplicate    int64 `json:"duplicate,omitempty"`
	Reorder      int64 `json:"reorder,omitempty"`
	ReorderLimit Time  `json:"reorder_limit,omitempty"`
	// Damage flips one bit.
	Damage int64 `json:"damage,omitempty"`

	// Break is the chance that a message on a client link breaks the connection.
	Break int64 `json:"break,omitempty"`
	// HalfOpen is the chance that an end of a broken connection takes up to
	// HalfOpenLimit to notice.
	HalfOpen      int64 `json:"half_open,omitempty"`
	HalfOpenLimit Time  `json:"half_open_limit,omitempty"`
}

// Check says what is wrong with a profile that was written by hand.
func (p *Profile) Check() error {
	for _, c := range []struct {
		name  string
		value int64
	}{
		{"tail", p.Tail}, {"loss", p.Loss}, {"duplicate", p.Duplicate}, {"reorder", p.Reorder},
		{"damage", p.Damage}, {"break", p.Break}, {"half_open", p.HalfOpen},
	} {
		if c.value < 0 || c.value > million {
			return fmt.Errorf("network profile: %s is %d; a chance is from 0 to 1000000 in a million", c.name, c.value)
		}
	}
	for _, t := range []struct {
		name  string
		value Time
	}{
		{"latency", p.Latency}, {"jitter", p.Jitter}, {"tail_limit", p.TailLimit},
		{"reorder_limit", p.ReorderLimit}, {"half_open_limit", p.HalfOpenLimit},
	} {
		if t.value < 0 || t.value > maxTime {
			return fmt.Errorf("network profile: %s is %d ns; a time is from 0 to an hour", t.name, t.value)
		}
	}
	if p.BytesPerSecond < 0 || p.BytesPerSecond > maxSpeed {
		return fmt.Errorf("network profile: bytes_per_second is %d; it is from 0 to %d", p.BytesPerSecond, int64(maxSpeed))
	}
	return nil
}

// worsen adds a fault's conditions. Every part is commutative, so the order of
// faults has no effect.
func (p *Profile) worsen(q *Profile) {
	p.Latency = min(p.Latency+q.Latency, maxTime)
	p.Jitter = min(p.Jitter+q.Jitter, maxTime)
	p.Tail = min(p.Tail+q.Tail, million)
	p.TailLimit = max(p.TailLimit, q.TailLimit)
	if p.BytesPerSecond == 0 || q.BytesPerSecond > 0 && q.BytesPerSecond < p.BytesPerSecond {
		p.BytesPerSecond = q.BytesPerSecond
	}
	p.Loss = min(p.Loss+q.Loss, million)
	p.Duplicate = min(p.Duplicate+q.Duplicate, million)
	p.Reorder = min(p.Reorder+q.Reorder, million)
	p.ReorderLimit = max(p.ReorderLimit, q.ReorderLimit)
	p.Damage = min(p.Damage+q.Damage, million)
	p.Break = min(p.Break+q.Break, million)
	p.HalfOpen = min(p.HalfOpen+q.HalfOpen, million)
	p.HalfOpenLimit = max(p.HalfOpenLimit, q.HalfOpenLimit)
}

// must turns a broken promise of the caller into a panic.
func must(err error) {
	if err != nil {
		panic("netsim: " + err.Error())
	}
}
