package api

import "fmt"

// Trait says what a client may conclude from a code.
type Trait struct {
	// Retriable: the same request may succeed later or elsewhere.
	Retriable bool
	// Definite: this attempt did not happen and never will. Otherwise it may
	// have happened, or may still.
	Definite bool
	// Meaning: when it happens and what to do next.
	Meaning string
}

// Traits is the error contract: the one table that broker, client and checker
// are held to.
var Traits = map[Code]Trait{
	Code_NOT_LEADER:       {true, true, "the node does not lead the group; ask the leader it names, or refresh metadata"},
	Code_OVERLOADED:       {true, true, "a bound of the node is reached; retry after a pause"},
	Code_NOT_READY:        {true, true, "the node is still recovering or joining; retry after a pause"},
	Code_SHUTTING_DOWN:    {true, true, "the node is leaving; ask another"},
	Code_META_UNAVAILABLE: {true, true, "the meta group has no leader that this node can reach; retry after a pause"},
	Code_STORAGE_FULL:     {true, true, "the leader's disk is full; free space or move the replica, then retry"},
	Code_LOG_DAMAGED:      {true, true, "a part of the log cannot be read on the leader's disk, and is being restored from another replica; retry after a pause"},
	Code_MOVE_IN_PROGRESS: {true, true, "another change of this group's replicas is under way; retry when it is done"},

	Code_LEADERSHIP_LOST: {true, false, "the leader changed while the request was under way; only an idempotent request may be repeated"},
	Code_TIMED_OUT:       {true, false, "no answer within the time allowed; only an idempotent request may be repeated"},
	Code_DISCONNECTED:    {true, false, "the link broke while the request was under way; only an idempotent request may be repeated"},

	Code_UNKNOWN_TOPIC_OR_PARTITION:   {false, true, "no such topic or partition; create it, or check the name"},
	Code_TOPIC_ALREADY_EXISTS:         {false, true, "a topic of that name exists; choose another name"},
	Code_INVALID_TOPIC_NAME:           {false, true, "topic names have 1 to 249 of the characters a-z A-Z 0-9 . _ - and are not . or .."},
	Code_INVALID_PARTITIONS:           {false, true, "the number of partitions is out of range"},
	Code_INVALID_REPLICATION_FACTOR:   {false, true, "the replication factor is below 1 or above the number of nodes"},
	Code_INVALID_CONFIG:               {false, true, "there is no such config of a topic, or it cannot have the value; the message says what there is and may be"},
	Code_INVALID_REQUEST:              {false, true, "the request makes no sense as it stands; the message says why"},
	Code_CORRUPT_BATCH:                {false, true, "the record batch fails its checks (CRC, counts, lengths); encode it again"},
	Code_BATCH_TOO_LARGE:              {false, true, "the record batch is over the size limit; send smaller batches"},
	Code_UNSUPPORTED_COMPRESSION:      {false, true, "the node does not know the batch's compression; use none, gzip or zstd"},
	Code_OFFSET_OUT_OF_RANGE:          {false, true, "the offset is below the log start or above the end; list offsets"},
	Code_OUT_OF_ORDER_SEQUENCE:        {false, true, "the batch's sequence leaves a gap; an earlier batch is missing"},
	Code_UNKNOWN_PRODUCER:             {false, true, "nothing is known of the producer, and its sequence is not 0; get a new producer id"},
	Code_PRODUCER_FENCED:              {false, true, "a newer epoch of the producer id exists; this producer is done"},
	Code_UNKNOWN_NODE:                 {false, true, "no such node; see cluster status"},
	Code_NODE_HAS_REPLICAS:            {false, true, "the node still holds replicas; move them first"},
	Code_NODE_IS_REPLICA:              {false, true, "the node holds, or does not hold, a replica of the partition already; see cluster status"},
	Code_WRONG_CLUSTER:                {false, true, "the node belongs to another cluster"},
	Code_SEGMENT_GONE:                 {false, true, "the segment was deleted by retention; start over from a newer snapshot"},
	Code_UNKNOWN_MEMBER:               {false, true, "the group has no such member: it left, or was silent for too long; join again"},
	Code_MEMBER_FENCED:                {false, true, "the member does not own the partition since the epoch it names; beat, and commit what it keeps"},
	Code_UNKNOWN_GROUP:                {false, true, "no such group; see group list"},
	Code_GROUP_NOT_EMPTY:              {false, true, "the group has members; stop them first"},
	Code_FENCED_INSTANCE:              {false, true, "another client has joined the group by the same instance name; give each client a name of its own"},
	Code_GROUPS_FULL:                  {false, true, "a bound of consumer groups is reached; the message says which, and what to delete"},
	Code_POLL_OVERDUE:                 {false, true, "the application has not polled for longer than it said it would, so its consumer gave its partitions up; poll again, more often or for fewer records"},
	Code_SASL_AUTHENTICATION_FAILED:   {false, true, "the node does not know who asks: the user or the password is wrong, or none was given"},
	Code_TOPIC_AUTHORIZATION_FAILED:   {false, true, "no ACL allows it on the topic, or one denies it; see acl list"},
	Code_GROUP_AUTHORIZATION_FAILED:   {false, true, "no ACL allows it on the group, or one denies it; see acl list"},
	Code_CLUSTER_AUTHORIZATION_FAILED: {false, true, "no ACL allows it on the cluster, or one denies it; see acl list"},
	Code_UNKNOWN_USER:                 {false, true, "no such user; see user list"},
	Code_USER_ALREADY_EXISTS:          {false, true, "a user of that name exists; alter it, or choose another name"},
	Code_LAST_NODE:                    {false, true, "the node is the last one, or the last that has a vote"},

	Code_STALE_COMMIT:       {false, false, "the member has made a later commit; this one was taken before that, or never will be"},
	Code_DUPLICATE_SEQUENCE: {false, false, "the batch is older than the last five; it was appended before, at an offset no longer known"},
}

// Retriable reports whether the same request may succeed later or elsewhere.
func (c Code) Retriable() bool { return Traits[c].Retriable }

// Definite reports whether an attempt answered by c did not and will not happen.
func (c Code) Definite() bool { return c != Code_OK && Traits[c].Definite }

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error gives the code's name and the message.
func (e *Error) Error() string {
	if e.GetMessage() == "" {
		return e.GetCode().String()
	}
	return e.GetCode().String() + ": " + e.GetMessage()
}
