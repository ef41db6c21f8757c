package replica

import (
	"encoding/binary"

	"go.etcd.io/raft/v3"

	"github.com/reprise-mq/reprise/broker/api"
)

// reads makes a read linearizable by raft's ReadIndex (Ongaro's thesis, 6.4): a
// quorum confirms that the leader still leads, and the read waits until what was
// committed then is applied. Reads that arrive before the call share it; later
// ones never do, for the quorum may have confirmed before they were asked.
type reads struct {
	// Asked since the last Pump.
	gathering []func(error)
	// Under way, oldest first; each waits for the ReadState of its number.
	asked []readRound
	// Confirmed, waiting for an index to be applied.
	confirmed []readRound
	// Of the last round.
	number uint64
	// Reads that wait in any of the three; at most maxReads.
	waiting int
}

// maxReads bounds the reads of a group that wait.
const maxReads = 16384

// readRound is the reads that share one ReadIndex.
type readRound struct {
	number  uint64
	waiting []func(error)
	ticks   int
	index   api.Index // once confirmed
}

// Read calls done once the machine's state is at least as new as every entry
// committed before the call, or with ErrReadLost; at once with ErrReadsFull if too
// many wait. On a follower it asks the leader.
func (r *Replica) Read(done func(error)) {
	if r.reads.waiting >= maxReads {
		done(ErrReadsFull)
		return
	}
	r.reads.waiting++
	r.reads.gathering = append(r.reads.gathering, done)
	r.NeedPump()
}

func (r *Replica) startReads() {
	if len(r.reads.gathering) == 0 || r.raft.BasicStatus().Lead == raft.None {
		return
	}
	r.reads.number++
	r.reads.asked = append(r.reads.asked, readRound{number: r.reads.number, waiting: r.reads.gathering})
	r.reads.gathering = nil
	context := binary.LittleEndian.AppendUint64(nil, r.cfg.Nonce)
	context = binary.LittleEndian.AppendUint64(context, r.reads.number)
	r.raft.ReadIndex(context)
}

// confirmRead takes raft's answer. One with an unknown context answers a read of
// an earlier life, or one that was given up.
func (r *Replica) confirmRead(state raft.ReadState) {
	if len(state.RequestCtx) != 16 || binary.LittleEndian.Uint64(state.RequestCtx) != r.cfg.Nonce {
		return
	}
	number := binary.LittleEndian.Uint64(state.RequestCtx[8:])
	for i, round := range r.reads.asked {
		if round.number == number {
			round.index = api.Index(state.Index)
			r.reads.asked = append(r.reads.asked[:i:i], r.reads.asked[i+1:]...)
			r.reads.confirmed = append(r.reads.confirmed, round)
			break
		}
	}
	r.releaseReads()
}

// releaseReads answers what waited for entries that are now applied.
func (r *Replica) releaseReads() {
	var late []readRound
	ready := r.reads.confirmed
	r.reads.confirmed = nil
	for _, round := range ready {
		if round.index > r.Applied() {
			late = append(late, round)
			continue
		}
		r.finish(round.waiting, nil)
	}
	r.reads.confirmed = append(late, r.reads.confirmed...)
}

// expireReads gives up on rounds that no quorum answers.
func (r *Replica) expireReads() {
	if len(r.reads.gathering) > 0 && r.raft.BasicStatus().Lead == raft.None {
		// Nobody to ask: the wait counts from the first tick without a leader.
		r.reads.number++
		r.reads.asked = append(r.reads.asked, readRound{number: r.reads.number, waiting: r.reads.gathering})
		r.reads.gathering = nil
	}
	var expired []func(error)
	r.reads.asked, expired = age(r.reads.asked, expired)
	r.reads.confirmed, expired = age(r.reads.confirmed, expired)
	r.finish(expired, ErrReadLost)
}

// age counts a tick for every round, and moves the waiting of those that are out
// of patience to expired.
func age(rounds []readRound, expired []func(error)) (kept []readRound, _ []func(error)) {
	for _, round := range rounds {
		round.ticks++
		if round.ticks < readPatienceTicks {
			kept = append(kept, round)
		} else {
			expired = append(expired, round.waiting...)
		}
	}
	return kept, expired
}

// FailReads gives up on every read that waits.
func (r *Replica) FailReads() {
	rounds := append(r.reads.asked, r.reads.confirmed...)
	gathering := r.reads.gathering
	r.reads.asked, r.reads.confirmed, r.reads.gathering = nil, nil, nil
	for _, round := range rounds {
		r.finish(round.waiting, ErrReadLost)
	}
	r.finish(gathering, ErrReadLost)
}

func (r *Replica) finish(waiting []func(error), err error) {
	r.reads.waiting -= len(waiting)
	for _, done := range waiting {
		done(err)
	}
}
