package group

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
	"github.com/reprise-mq/reprise/broker/command"
)

// Kinds of commands; the numbers stand in logs and never change.
const (
	kindJoin = iota + 1
	kindSync
	kindLeave
	kindExpire
	kindTopics
	kindCommit
	kindReset
	kindDelete
)

// MemberID names a member of a group. A coordinator gives none out twice; 0 is none.
type MemberID uint64

// Generation counts the changes of a group, from 1.
type Generation uint64

// Epoch counts the changes of what a member owns, from 1.
type Epoch uint64

// Partition is one partition of one incarnation of a topic.
type Partition struct {
	Topic  api.TopicID
	Number api.Partition
}

// Topic is what a coordinator knows of a topic.
type Topic struct {
	Name       string
	ID         api.TopicID
	Partitions int32
}

// Join says who wants to be a member, and of what.
type Join struct {
	// Member is 0 for a new one.
	Member MemberID
	// Token of a new member: a join that is repeated with the token of a member that is
	// there answers that one, and makes no second. "" is none.
	Token string
	// Instance is the name of a static member: whoever joins by it takes the place of the
	// member that has it. "" is none.
	Instance string
	// Former is the last member that the client was which joins by Instance, 0 if it was
	// none: if another has the name by now, the client is refused.
	Former MemberID
	// Session is how long the member may be silent, Rebalance how long it may take to give
	// partitions up, both in milliseconds.
	Session, Rebalance api.Milliseconds
	// Assignor that the member wants; the group uses that of its oldest member.
	Assignor Assignor
	// Topics by name.
	Topics []string
}

// Offset is how far a group has come in a partition.
type Offset struct {
	Partition Partition
	// Offset of the next record to read.
	Offset api.Offset
	// Metadata of whoever committed it.
	Metadata string
}

// Commit is what a member has done.
type Commit struct {
	// Member is 0 for somebody who belongs to no group: that is fine while the group has
	// no members.
	Member MemberID
	// Epoch of what the member knew that it owns.
	Epoch Epoch
	// Sequence counts the member's commits, ascending; 0: it does not count them. What is
	// not above the last that was taken is a copy of it, or of an older one.
	Sequence uint64
	Offsets  []Offset
}

// EncodeJoin makes the command by which a member joins, or says what it wants by now.
func EncodeJoin(tag command.Tag, now api.Milliseconds, group string, j Join) []byte {
	b := head(kindJoin, tag, now, group)
	b = codec.AppendUvarint(b, uint64(j.Member))
	b = codec.AppendBytes(b, j.Token)
	b = codec.AppendBytes(b, j.Instance)
	b = codec.AppendUvarint(b, uint64(j.Former))
	b = codec.AppendUvarint(b, uint64(j.Session))
	b = codec.AppendUvarint(b, uint64(j.Rebalance))
	b = append(b, byte(j.Assignor))
	return appendNames(b, j.Topics)
}

// EncodeSync makes the command by which a member says which partitions it has given up,
// of those that it knew to be its own in an epoch.
func EncodeSync(tag command.Tag, now api.Milliseconds, group string, m MemberID, e Epoch, given []Partition) []byte {
	b := codec.AppendUvarint(head(kindSync, tag, now, group), uint64(m))
	b = codec.AppendUvarint(b, uint64(e))
	return appendPartitions(b, given)
}

// EncodeLeave makes the command by which a member leaves.
func EncodeLeave(tag command.Tag, now api.Milliseconds, group string, m MemberID) []byte {
	return codec.AppendUvarint(head(kindLeave, tag, now, group), uint64(m))
}

// EncodeExpire makes the command that ends a member that was silent for too long. beats
// are those that the leader knew when it decided; if the member has joined again or synced
// since, it stays.
func EncodeExpire(tag command.Tag, now api.Milliseconds, group string, m MemberID, beats uint64) []byte {
	b := codec.AppendUvarint(head(kindExpire, tag, now, group), uint64(m))
	return codec.AppendUvarint(b, beats)
}

// Catalogue is what meta says of topics.
type Catalogue struct {
	// Version is the index of the meta log as of which it is so: one older than the
	// group knows changes nothing, so a leader that is behind revokes nothing.
	Version api.Index
	// Topics that there are, of those that the group's members want, ascending by id.
	Topics []Topic
	// Gone are topics, of those that the group has something of, that there never will be
	// again. Ascending.
	Gone []api.TopicID
}

// EncodeTopics makes the command that says which topics there are.
func EncodeTopics(tag command.Tag, now api.Milliseconds, group string, c Catalogue) []byte {
	b := codec.AppendUvarint(head(kindTopics, tag, now, group), uint64(c.Version))
	b = appendTopics(b, c.Topics)
	b = codec.AppendUvarint(b, uint64(len(c.Gone)))
	for _, id := range c.Gone {
		b = codec.AppendUvarint(b, uint64(id))
	}
	return b
}

// EncodeCommit makes the command that commits offsets.
func EncodeCommit(tag command.Tag, now api.Milliseconds, group string, c Commit) []byte {
	b := codec.AppendUvarint(head(kindCommit, tag, now, group), uint64(c.Member))
	b = codec.AppendUvarint(b, uint64(c.Epoch))
	b = codec.AppendUvarint(b, c.Sequence)
	return appendOffsets(b, c.Offsets)
}

// EncodeReset makes the command that sets offsets of a group without members, or with
// Forget takes them away.
func EncodeReset(tag command.Tag, now api.Milliseconds, group string, offsets []Offset) []byte {
	b := codec.AppendUvarint(head(kindReset, tag, now, group), uint64(len(offsets)))
	for _, o := range offsets {
		b = appendPartition(b, o.Partition)
		b = codec.AppendUvarint(b, uint64(o.Offset+1))
	}
	return b
}

// Forget is the offset by which a reset takes an offset away.
const Forget api.Offset = -1

// EncodeDelete makes the command that deletes a group without members.
func EncodeDelete(tag command.Tag, now api.Milliseconds, group string) []byte {
	return head(kindDelete, tag, now, group)
}

func head(kind byte, tag command.Tag, now api.Milliseconds, group string) []byte {
	return codec.AppendBytes(command.Append(nil, command.Head{Kind: kind, Tag: tag, Now: now}), group)
}

func appendNames(b []byte, names []string) []byte {
	b = codec.AppendUvarint(b, uint64(len(names)))
	for _, name := range names {
		b = codec.AppendBytes(b, name)
	}
	return b
}

func readNames(r *codec.Reader) []string {
	var names []string
	for range r.Count(1) {
		names = append(names, r.String())
	}
	return names
}

func appendPartition(b []byte, p Partition) []byte {
	return codec.AppendUvarint(codec.AppendUvarint(b, uint64(p.Topic)), uint64(p.Number))
}

func readPartition(r *codec.Reader) Partition {
	return Partition{api.TopicID(r.Uvarint()), api.Partition(r.Uvarint())}
}

func appendPartitions(b []byte, list []Partition) []byte {
	b = codec.AppendUvarint(b, uint64(len(list)))
	for _, p := range list {
		b = appendPartition(b, p)
	}
	return b
}

func readPartitions(r *codec.Reader) []Partition {
	var list []Partition
	for range r.Count(2) {
		list = append(list, readPartition(r))
	}
	return list
}

func appendOffsets(b []byte, list []Offset) []byte {
	b = codec.AppendUvarint(b, uint64(len(list)))
	for _, o := range list {
		b = appendPartition(b, o.Partition)
		b = codec.AppendUvarint(b, uint64(o.Offset))
		b = codec.AppendBytes(b, o.Metadata)
	}
	return b
}

func readOffsets(r *codec.Reader) []Offset {
	var list []Offset
	for range r.Count(4) {
		list = append(list, Offset{readPartition(r), api.Offset(r.Uvarint()), r.String()})
	}
	return list
}

func appendTopics(b []byte, topics []Topic) []byte {
	b = codec.AppendUvarint(b, uint64(len(topics)))
	for _, t := range topics {
		b = codec.AppendBytes(b, t.Name)
		b = codec.AppendUvarint(b, uint64(t.ID))
		b = codec.AppendUvarint(b, uint64(t.Partitions))
	}
	return b
}

func readTopics(r *codec.Reader) []Topic {
	var topics []Topic
	for range r.Count(3) {
		topics = append(topics, Topic{r.String(), api.TopicID(r.Uvarint()), int32(r.Uvarint())})
	}
	return topics
}

// decoded is a command; which fields it has depends on its kind.
type decoded struct {
	head      command.Head
	group     string
	member    MemberID
	epoch     Epoch
	beats     uint64
	join      Join
	given     []Partition
	catalogue Catalogue
	commit    Commit
	offsets   []Offset
}

// decode reads a command. The head is there even if the rest is malformed, so that the
// proposer hears of it.
func decode(data []byte) (decoded, bool) {
	r := codec.NewReader(data)
	head, ok := command.Read(r)
	c := decoded{head: head, group: r.String()}
	switch head.Kind {
	case kindJoin:
		c.join = Join{Member: MemberID(r.Uvarint()), Token: r.String(), Instance: r.String(), Former: MemberID(r.Uvarint())}
		c.join.Session, c.join.Rebalance = api.Milliseconds(r.Uvarint()), api.Milliseconds(r.Uvarint())
		c.join.Assignor, c.join.Topics = Assignor(r.Byte()), readNames(r)
	case kindSync:
		c.member, c.epoch, c.given = MemberID(r.Uvarint()), Epoch(r.Uvarint()), readPartitions(r)
	case kindLeave:
		c.member = MemberID(r.Uvarint())
	case kindExpire:
		c.member, c.beats = MemberID(r.Uvarint()), r.Uvarint()
	case kindTopics:
		c.catalogue = Catalogue{Version: api.Index(r.Uvarint()), Topics: readTopics(r)}
		for range r.Count(1) {
			c.catalogue.Gone = append(c.catalogue.Gone, api.TopicID(r.Uvarint()))
		}
	case kindCommit:
		c.commit = Commit{Member: MemberID(r.Uvarint()), Epoch: Epoch(r.Uvarint()), Sequence: r.Uvarint(), Offsets: readOffsets(r)}
	case kindReset:
		for range r.Count(3) {
			c.offsets = append(c.offsets, Offset{Partition: readPartition(r), Offset: api.Offset(r.Uvarint()) - 1})
		}
	case kindDelete:
	default:
		return c, false
	}
	return c, ok && r.Close() == nil
}

func (out *Outcome) refuse(code api.Code, format string, args ...any) {
	out.Code, out.Message = code, fmt.Sprintf(format, args...)
}
