// Package netsim decides what becomes of the messages on simulated links: when
// each copy arrives, if at all, and whether it was damaged on the way. It owns the
// links' state and the faults in force. It never holds a message, keeps time or
// knows what a broker is: it is told the time and the size, and answers with
// times.
//
// Nothing here is drawn from a stream. Each draw is a hash of the seed, the link,
// the number of the message on that link, the copy and the purpose; so taking a
// fault away, or sending more elsewhere, leaves the fate of a message alone.
//
// What can happen, by the class of a link:
//
//	                                Peer         Client
//	latency, long tails, bandwidth  yes          yes
//	order                           by chance    kept
//	loss, duplicates, damage        by chance    never
//	too long a queue                drops        only delays
//	a cut                           drops        breaks the connection
//	a break                         -            by chance
package netsim

import "github.com/reprise-mq/reprise/sim/prng"

// Time is virtual time in nanoseconds.
type Time int64

// Class says what a link promises.
type Class uint8

const (
	// Peer links, between nodes, promise nothing.
	Peer Class = iota
	// Client links carry each message once and in order, or break.
	Client
)

// Delivery is the arrival of one copy.
type Delivery struct {
	// At is not before the time of Send. Copies that arrive at the same time do so
	// in the order in which they were sent.
	At Time
	// Damaged is the bit of the message that was flipped on the way, or Intact.
	Damaged int64
}

// Intact marks a copy that was not damaged.
const Intact = -1

// Counts says how often each thing happened.
type Counts struct {
	Sent, Cut, Lost, Overflowed, Broken            int64
	Duplicated, Reordered, Tailed, Queued, Damaged int64
}

// Network is the state of all links. The zero value is not usable.
type Network struct {
	seed    uint64
	profile Profile
	links   map[endpoints]*link
	// faults in force; their order has no effect.
	faults []inForce
	counts Counts
	out    []Delivery
}

type endpoints struct {
	from, to string
	class    Class
}

// link is the state of one direction.
type link struct {
	// hash of the seed and the ends: where every draw begins.
	hash uint64
	// sent messages, broken connections.
	sent, broken uint64
	// free is when the last message has left the sender.
	free Time
	// last is the latest arrival that no message in order may come before.
	last Time
}

// queueLimit is how long a message may wait for bandwidth on a peer link; beyond
// it is dropped, as a full router would. A client's link pushes back instead.
const queueLimit = Time(2_000_000_000)

// Purposes of a draw. A new one goes to the end, so that old seeds keep their
// meaning.
const (
	forLatency = iota
	forTail
	forTailLength
	forLoss
	forDuplicate
	forReorder
	forReorderLength
	forDamage
	forDamagedBit
	forBreak
	forHalfOpen
	forHalfOpenLength
)

// New makes a network without faults. The profile must pass its Check.
func New(seed uint64, profile Profile) *Network {
	must(profile.Check())
	return &Network{seed: seed, profile: profile, links: make(map[endpoints]*link)}
}

// Send puts a message of size bytes on a link and says when its copies arrive.
// On a Client link there is exactly one; none means that the connection broke,
// and Break says when its ends notice. The answer is valid until the next Send.
func (n *Network) Send(now Time, from, to string, size int, class Class) []Delivery {
	l := n.link(from, to, class)
	d := draws{link: l.hash, number: l.sent}
	l.sent++
	n.counts.Sent++
	n.out = n.out[:0]
	profile, cut := n.conditions(now, from, to)
	if class == Client {
		// A connection needs both ways.
		cut = cut || n.Cut(now, to, from)
		return n.sendClient(now, l, d, &profile, cut, size)
	}
	return n.sendPeer(now, l, d, &profile, cut, size)
}

// Break says when the two ends of a connection that breaks now notice: soon, or,
// if the break leaves it half open, late.
func (n *Network) Break(now Time, client, node string) (atClient, atNode Time) {
	l := n.link(client, node, Client)
	profile, _ := n.conditions(now, client, node)
	d := draws{link: l.hash, number: l.broken}
	l.broken++
	var at [2]Time
	for end := range at {
		d.copy = uint64(end)
		at[end] = now + n.latency(d, &profile)
		if d.chance(forHalfOpen, profile.HalfOpen) {
			at[end] += d.below(forHalfOpenLength, profile.HalfOpenLimit)
		}
	}
	return at[0], at[1]
}

// Counts is what happened so far.
func (n *Network) Counts() Counts { return n.counts }

func (n *Network) link(from, to string, class Class) *link {
	key := endpoints{from, to, class}
	l := n.links[key]
	if l == nil {
		l = &link{hash: prng.Hash(n.seed, prng.HashString(from), prng.HashString(to), uint64(class))}
		n.links[key] = l
	}
	return l
}

func (n *Network) sendClient(now Time, l *link, d draws, p *Profile, cut bool, size int) []Delivery {
	if cut {
		n.counts.Cut++
		return nil
	}
	if d.chance(forBreak, p.Break) {
		n.counts.Broken++
		return nil
	}
	at := n.transmit(now, l, p, size) + n.latency(d, p)
	n.deliver(l.inOrder(at), Intact)
	return n.out
}

func (n *Network) sendPeer(now Time, l *link, d draws, p *Profile, cut bool, size int) []Delivery {
	switch {
	case cut:
		n.counts.Cut++
		return nil
	case d.chance(forLoss, p.Loss):
		n.counts.Lost++
		return nil
	case l.free-now > queueLimit:
		n.counts.Overflowed++
		return nil
	}
	left := n.transmit(now, l, p, size)
	at := left + n.latency(d, p)
	if d.chance(forReorder, p.Reorder) {
		n.counts.Reordered++
		at += d.below(forReorderLength, p.ReorderLimit)
	} else {
		at = l.inOrder(at)
	}
	n.deliver(at, n.damage(d, p, size))
	if d.chance(forDuplicate, p.Duplicate) {
		n.counts.Duplicated++
		d.copy = 1
		at = left + n.latency(d, p) + d.below(forReorderLength, p.ReorderLimit)
		n.deliver(at, n.damage(d, p, size))
	}
	return n.out
}

// inOrder is the arrival of a message that overtakes none before it.
func (l *link) inOrder(at Time) Time {
	l.last = max(l.last, at)
	return l.last
}

// transmit says when the message has left the sender, behind those before it.
func (n *Network) transmit(now Time, l *link, p *Profile, size int) Time {
	start := max(now, l.free)
	if start > now {
		n.counts.Queued++
	}
	if p.BytesPerSecond == 0 {
		return start
	}
	l.free = start + Time(int64(size)*second/p.BytesPerSecond)
	return l.free
}

func (n *Network) latency(d draws, p *Profile) Time {
	t := p.Latency + d.below(forLatency, p.Jitter)
	if d.chance(forTail, p.Tail) {
		n.counts.Tailed++
		t += d.below(forTailLength, p.TailLimit)
	}
	return t
}

// damage picks the bit that is flipped on the way, if one is.
func (n *Network) damage(d draws, p *Profile, size int) int64 {
	if size == 0 || !d.chance(forDamage, p.Damage) {
		return Intact
	}
	n.counts.Damaged++
	return prng.Scale(d.draw(forDamagedBit), int64(size)*8)
}

func (n *Network) deliver(at Time, damaged int64) {
	n.out = append(n.out, Delivery{At: at, Damaged: damaged})
}

// draws are the random numbers of one copy of one message.
type draws struct{ link, number, copy uint64 }

func (d draws) draw(purpose uint64) uint64 {
	return prng.Hash(d.link, d.number, d.copy, purpose)
}

// chance is true so many times in a million.
func (d draws) chance(purpose uint64, perMillion int64) bool {
	return perMillion > 0 && prng.Scale(d.draw(purpose), million) < perMillion
}

// below draws from 0 to most.
func (d draws) below(purpose uint64, most Time) Time {
	if most == 0 {
		return 0
	}
	return Time(prng.Scale(d.draw(purpose), int64(most)+1))
}
