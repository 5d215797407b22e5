package kafka

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-7379b4e8/kafka/internal/cluster"
	"github.com/seed-7379b4e8/kafka/protocol"
)

// A script is read line by line: an event, the actions that follow, and the state then.
//
//	wanted => give up => giving up partitions
//
// Times are given as "+3s"; an event that begins with "late" is the answer to something that counts no more. Heartbeats
// are every 3 s, the backoff 100 ms, 200 ms, … up to 1 s.
type script struct {
	t   *testing.T
	m   *membership
	now time.Time
}

func newScript(t *testing.T, instance string) *script {
	return &script{t: t, now: time.Unix(1_000_000, 0), m: &membership{generation: -1, cfg: membershipConfig{
		instance: instance, heartbeat: 3 * time.Second,
		backoff: cluster.Backoff{Min: 100 * time.Millisecond, Max: time.Second, Rand: func() float64 { return 0.5 }},
	}}}
}

// runScript plays lines to a fresh membership and gives it as it is then.
func runScript(t *testing.T, instance, lines string) *script {
	t.Helper()
	s := newScript(t, instance)
	s.play(lines)
	return s
}

func (s *script) play(lines string) {
	s.t.Helper()
	for i, line := range strings.Split(lines, "\n") {
		if line == "" {
			continue
		}
		parts := strings.Split(line, "=>")
		require.Len(s.t, parts, 3, "line %d: %q", i+1, line)
		event := strings.TrimSpace(parts[0])
		got := s.event(event)
		var said []string
		for _, a := range got {
			said = append(said, actionText(a))
		}
		require.Equal(s.t, strings.TrimSpace(parts[1]), strings.Join(said, ", "), "line %d: what follows from %q", i+1, event)
		require.Equal(s.t, strings.TrimSpace(parts[2]), s.m.state.String(), "line %d: the state after %q", i+1, event)
	}
}

// event reads one event and takes the step.
func (s *script) event(text string) []any {
	s.t.Helper()
	if d, err := time.ParseDuration(strings.TrimPrefix(text, "+")); err == nil {
		s.now = s.now.Add(d)
		return s.m.step(s.now, evTick{})
	}
	text, late := strings.CutPrefix(text, "late ")
	back := uint64(0)
	if late {
		back = 1
	}
	words := strings.Fields(text)
	code, failed := protocol.None, error(nil)
	if last := words[len(words)-1]; last == "unanswered" {
		failed, words = errors.New("no answer"), words[:len(words)-1]
	} else if c, ok := codeNamed(last); ok {
		code, words = c, words[:len(words)-1]
	}
	var event any
	switch words[0] {
	case "wanted":
		event = evWanted{reason: "subscribed"}
	case "changed":
		event = evChanged{reason: "grown"}
	case "unwanted":
		event = evUnwanted{}
	case "idle-polls":
		event = evPollExpired{}
	case "polled":
		event = evPolled{}
	case "given-up":
		event = evGivenUp{turn: s.m.turn - back}
	case "left":
		event = evLeft{turn: s.m.turn - back}
	case "joined": // joined [ID [GENERATION]]
		a := joinAnswer{code: code, err: failed, generation: -1}
		if len(words) > 1 {
			a.memberID = words[1]
		}
		if len(words) > 2 {
			n, err := strconv.Atoi(words[2])
			require.NoError(s.t, err)
			a.generation = int32(n)
		}
		event = evJoined{round: s.m.round - back, joinAnswer: a}
	case "hopeless":
		event = evJoined{round: s.m.round, joinAnswer: joinAnswer{err: errors.New("wrong certificate"), hopeless: true}}
	case "synced":
		event = evSynced{round: s.m.round - back, code: code, err: failed}
	case "applied":
		event = evApplied{round: s.m.round - back, again: len(words) > 1}
	case "beat":
		event = evBeat{beats: s.m.beats - back, code: code, err: failed}
	case "refused":
		event = evRefused{generation: s.m.generation - int32(back), code: code}
	}
	require.NotNil(s.t, event, "the event %q", text)
	return s.m.step(s.now, event)
}

func codeNamed(name string) (protocol.ErrorCode, bool) {
	for c := protocol.ErrorCode(-1); c < 140; c++ {
		if c.Name() == name {
			return c, true
		}
	}
	return 0, false
}

func actionText(action any) string {
	switch a := action.(type) {
	case actGiveUp:
		switch {
		case a.lost:
			return "lose all"
		case a.all:
			return "give up all"
		}
		return "give up"
	case actJoin:
		return "join"
	case actSync:
		return "sync"
	case actApply:
		return "apply"
	case actBeat:
		return "beat"
	case actLeave:
		return "leave " + a.memberID
	case actForgetCoordinator:
		return "forget coordinator"
	case actTell:
		if a.err == nil {
			return "tell ok"
		}
		return "tell"
	}
	return fmt.Sprintf("%T", action)
}

// toJoining, toApplying and toStable are how a new member "a" comes to generation 1.
const (
	toJoining  = "wanted => give up => giving up partitions\ngiven-up => join => joining\n"
	toNoID     = toJoining + "joined MEMBER_ID_REQUIRED => => idle\n"
	joinFirst  = toJoining + "joined a MEMBER_ID_REQUIRED => join => joining\njoined a 1 => sync => syncing\n"
	toApplying = joinFirst + "synced => tell ok, apply => taking in the assignment\n"
	toStable   = toApplying + "applied => => stable\n"
)

func TestMembership_JoinsWithTheIdItIsGiven(t *testing.T) { // KIP-394
	s := runScript(t, "", toStable)
	require.Equal(t, "a", s.m.memberID)
	require.EqualValues(t, 1, s.m.generation)

	runScript(t, "", toNoID+`
+99ms => => idle
+1ms => give up => giving up partitions`) // an answer without an id
	s = runScript(t, "", toJoining+`
joined a MEMBER_ID_REQUIRED => join => joining
joined b MEMBER_ID_REQUIRED => => idle
+100ms => give up => giving up partitions
given-up => join => joining`)
	require.Equal(t, "b", s.m.memberID, "asked for an id again and again, it slows down")
}

func TestMembership_BeatsAtItsPaceButNotWhileJoining(t *testing.T) {
	runScript(t, "", joinFirst+`
+2999ms => => syncing
+1ms => beat => syncing
+10s => => syncing
beat => => syncing
synced => tell ok, apply => taking in the assignment
+3s => beat => taking in the assignment
beat => => taking in the assignment
applied => => stable
+2999ms => => stable
+1ms => beat => stable
beat unanswered => forget coordinator => stable
+99ms => => stable
+1ms => beat => stable
beat REBALANCE_IN_PROGRESS => give up => giving up partitions
+3s => beat => giving up partitions
beat REBALANCE_IN_PROGRESS => => giving up partitions
given-up => join => joining
+1h => => joining
late beat UNKNOWN_MEMBER_ID => => joining
joined a 2 => sync => syncing
+3s => beat => syncing`)
}

func TestMembership_WakesForWhatIsDue(t *testing.T) {
	s := runScript(t, "", toStable)
	require.Equal(t, s.now.Add(3*time.Second), s.m.wakeAt(), "a heartbeat")
	s.play("+3s => beat => stable")
	require.Zero(t, s.m.wakeAt(), "one is out")
	s.play("beat REBALANCE_IN_PROGRESS => give up => giving up partitions\ngiven-up => join => joining")
	require.Zero(t, s.m.wakeAt(), "JoinGroup stands for heartbeats")
	s.play("joined a COORDINATOR_LOAD_IN_PROGRESS => => idle")
	require.Equal(t, s.now.Add(100*time.Millisecond), s.m.wakeAt(), "the next try")
	s.play("unwanted => give up all => leaving\ngiven-up => leave a => leaving\nleft => => idle")
	require.Zero(t, s.m.wakeAt())
}

func TestMembership_StaysWhenTheCoordinatorIsAway(t *testing.T) {
	s := runScript(t, "", toStable+`
+3s => beat => stable
beat unanswered => forget coordinator => stable
+100ms => beat => stable
beat NOT_COORDINATOR => forget coordinator => stable
+100ms => beat => stable
beat COORDINATOR_NOT_AVAILABLE => forget coordinator => stable
+100ms => beat => stable
beat COORDINATOR_LOAD_IN_PROGRESS => => stable
+3s => beat => stable
beat => => stable`)
	require.EqualValues(t, 1, s.m.generation)
}

func TestMembership_FailedJoinsBackOff(t *testing.T) {
	runScript(t, "", toJoining+`
joined unanswered => forget coordinator => idle
+99ms => => idle
+1ms => give up => giving up partitions
given-up => join => joining
joined NOT_COORDINATOR => forget coordinator => idle
+199ms => => idle
+1ms => give up => giving up partitions
given-up => join => joining
hopeless => forget coordinator, tell => idle
+400ms => give up => giving up partitions
given-up => join => joining
joined a 1 => sync => syncing
synced => tell ok, apply => taking in the assignment`)
}

func TestMembership_ARebalanceDuringSyncJoinsAtOnceButNotForEver(t *testing.T) {
	runScript(t, "", joinFirst+`
synced REBALANCE_IN_PROGRESS => give up => giving up partitions
given-up => join => joining
joined a 2 => sync => syncing
synced REBALANCE_IN_PROGRESS => => idle
+200ms => give up => giving up partitions`)
}

func TestMembership_CooperativeRoundFollowsARevocation(t *testing.T) {
	runScript(t, "", toApplying+`
applied again => give up => giving up partitions
given-up => join => joining`)
}

func TestMembership_ReasonsToRebalance(t *testing.T) {
	t.Run("are for members only", func(t *testing.T) {
		runScript(t, "", "changed => => idle")
	})
	for state, lines := range inEachState {
		t.Run(state, func(t *testing.T) {
			for _, event := range []string{"changed", "wanted"} {
				s := runScript(t, "", lines)
				rounds := s.m.round
				s.event(event)
				s.settle()
				require.Equal(t, memberStable, s.m.state)
				require.Equal(t, rounds+1, s.m.round, "%s: one more join, after the one under way", event)
			}
		})
	}
}

// inEachState has, for each state, how member "a" gets there.
var inEachState = map[string]string{
	"giving up":       toStable + "changed => give up => giving up partitions",
	"joining":         toStable + "changed => give up => giving up partitions\ngiven-up => join => joining",
	"syncing":         joinFirst,
	"applying":        toApplying,
	"stable":          toStable,
	"waiting to join": toStable + "changed => give up => giving up partitions\ngiven-up => join => joining\njoined unanswered => forget coordinator => idle",
}

// settle lets everything that is asked for succeed, until nothing more is due.
func (s *script) settle() (texts []string) {
	s.t.Helper()
	for range 20 {
		var event string
		switch s.m.state {
		case memberStable:
			return texts
		case memberIdle:
			if !s.m.desired() {
				return texts
			}
			event = "+1s"
		case memberGivingUp:
			event = "given-up"
		case memberJoining:
			event = fmt.Sprintf("joined %s %d", s.m.memberID, s.m.generation+1)
			if s.m.memberID == "" {
				event = "joined new 9"
			}
		case memberSyncing:
			event = "synced"
		case memberApplying:
			event = "applied"
		case memberLeaving:
			event = "given-up"
			if s.m.generation < 0 {
				event = "left"
			}
		}
		for _, a := range s.event(event) {
			texts = append(texts, actionText(a))
		}
	}
	s.t.Fatalf("still %v after 20 steps", s.m.state)
	return nil
}

func TestMembership_UnsubscribesInEachState(t *testing.T) {
	for state, lines := range inEachState {
		t.Run(state, func(t *testing.T) {
			s := runScript(t, "", lines)
			texts := []string{}
			for _, a := range s.event("unwanted") {
				texts = append(texts, actionText(a))
			}
			texts = append(texts, s.settle()...)
			require.Contains(t, texts, "give up all", "in good order")
			require.Equal(t, "leave a", texts[len(texts)-1])
			require.Equal(t, memberIdle, s.m.state)
			require.Empty(t, s.m.memberID)
			require.NotContains(t, texts, "join")

			s.event("wanted")
			s.settle()
			require.Equal(t, "new", s.m.memberID, "it comes back as a new member")
		})
	}
	runScript(t, "", "unwanted => => idle")
	runScript(t, "", toJoining+"unwanted => give up all => leaving\ngiven-up => => idle") // nothing to leave
}

func TestMembership_AJoinThatWasGivenUpLeavesNoGhost(t *testing.T) {
	runScript(t, "", toJoining+`
unwanted => give up all => leaving
late joined ghost MEMBER_ID_REQUIRED => leave ghost => leaving
late left => => leaving
given-up => => idle`)
	runScript(t, "", toJoining+`
unwanted => give up all => leaving
given-up => => idle
wanted => give up => giving up partitions
given-up => join => joining
late joined ghost 7 => leave ghost => joining
joined a 8 => sync => syncing`)
}

func TestMembership_LeavesInGoodOrderFromARebalance(t *testing.T) {
	const leaving = toStable + "changed => give up => giving up partitions\ngiven-up => join => joining\nunwanted => give up all => leaving\n"
	s := runScript(t, "", leaving+`
refused ILLEGAL_GENERATION => => leaving
late joined a 2 => sync => leaving`)
	require.EqualValues(t, 2, s.m.generation, "in which its last commit is taken")
	s.play(`
synced => => leaving
refused REBALANCE_IN_PROGRESS => => leaving
+3s => beat => leaving
given-up => leave a => leaving
left => => idle`)
	runScript(t, "", leaving+"late joined a UNKNOWN_MEMBER_ID => lose all => leaving\ngiven-up => => idle")
	runScript(t, "", leaving+"late joined unanswered => => leaving\nrefused ILLEGAL_GENERATION => lose all => leaving")
	runScript(t, "", leaving+"given-up => leave a => leaving\nlate joined a 2 => leave a => leaving\nleft => => idle")
}

func TestMembership_WantedAgainWhileLeaving(t *testing.T) {
	runScript(t, "", toStable+`
unwanted => give up all => leaving
wanted => => leaving
given-up => leave a => leaving
left => give up => giving up partitions
given-up => join => joining`)
}

func TestMembership_WithoutPollsItLeavesUntilTheNext(t *testing.T) {
	lines := toStable + `
idle-polls => give up all => leaving
+3s => beat => leaving
beat => => leaving
given-up => leave a => leaving
left => => idle
changed => => idle
+1h => => idle
polled => give up => giving up partitions
given-up => join => joining`
	s := runScript(t, "", lines)
	require.Empty(t, s.m.memberID)

	runScript(t, "", toStable+`
idle-polls => give up all => leaving
polled => => leaving
given-up => leave a => leaving
left => give up => giving up partitions`)
	runScript(t, "", joinFirst+`
idle-polls => => syncing
synced => tell ok, apply => taking in the assignment
applied => give up all => leaving`) // a rebalance ends first
	runScript(t, "", joinFirst+`
idle-polls => => syncing
polled => => syncing
synced => tell ok, apply => taking in the assignment
applied => => stable`)
	runScript(t, "", toStable+`
idle-polls => give up all => leaving
unwanted => => leaving
given-up => leave a => leaving
left => => idle
polled => => idle`)
}

func TestMembership_StaticMembersKeepTheirPlace(t *testing.T) { // KIP-345
	s := runScript(t, "one", toJoining+`
joined one-x 1 => sync => syncing
synced => tell ok, apply => taking in the assignment
applied => => stable
unwanted => give up all => leaving
given-up => => idle`)
	require.Empty(t, s.m.memberID, "it comes back as a restarted one does")
	require.EqualValues(t, -1, s.m.generation)
	s = runScript(t, "one", toJoining+`
joined one-x 1 => sync => syncing
synced => tell ok, apply => taking in the assignment
applied => => stable
idle-polls => give up all => leaving
given-up => => idle
+1h => => idle
polled => give up => giving up partitions`)
	require.Equal(t, "one-x", s.m.memberID, "another may have its place meanwhile: it is to be fenced")
}

func TestMembership_FencedIsTheEnd(t *testing.T) {
	const fenced = "FENCED_INSTANCE_ID"
	stable := toJoining + "joined one-x 1 => sync => syncing\nsynced => tell ok, apply => taking in the assignment\napplied => => stable\n"
	const end = "\ngiven-up => => idle\n+1h => => idle\nwanted => => idle\nchanged => => idle\nunwanted => => idle"
	for name, lines := range map[string]string{
		"at the first join": toJoining + "joined " + fenced + " => tell => idle\n+1h => => idle\nwanted => => idle",
		"in a later join":   stable + "changed => give up => giving up partitions\ngiven-up => join => joining\njoined " + fenced + " => tell, lose all => giving up partitions" + end,
		"in sync":           toJoining + "joined one-x 1 => sync => syncing\nsynced " + fenced + " => tell, lose all => giving up partitions" + end,
		"in a heartbeat":    stable + "+3s => beat => stable\nbeat " + fenced + " => tell, lose all => giving up partitions" + end,
		"in a commit":       stable + "refused " + fenced + " => tell, lose all => giving up partitions" + end,
		"while giving up":   stable + "changed => give up => giving up partitions\n+3s => beat => giving up partitions\nbeat " + fenced + " => tell, lose all => giving up partitions" + end,
		"while leaving":     stable + "unwanted => give up all => leaving\n+3s => beat => leaving\nbeat " + fenced + " => tell, lose all => leaving\ngiven-up => => idle",
	} {
		t.Run(name, func(t *testing.T) {
			s := runScript(t, "one", lines)
			require.ErrorIs(t, s.m.fatal, protocol.FencedInstanceID)
		})
	}
}

func TestMembership_ALossOvertakesAGiveUp(t *testing.T) {
	runScript(t, "", toStable+`
changed => give up => giving up partitions
refused UNKNOWN_MEMBER_ID => lose all => giving up partitions
late given-up => => giving up partitions
given-up => join => joining
joined b 5 => sync => syncing`)
	runScript(t, "", toStable+`
unwanted => give up all => leaving
refused UNKNOWN_MEMBER_ID => lose all => leaving
late given-up => => leaving
given-up => => idle`)
	s := runScript(t, "", toApplying+`
+3s => beat => taking in the assignment
beat UNKNOWN_MEMBER_ID => lose all => giving up partitions
late applied again => => giving up partitions
given-up => join => joining`)
	require.Empty(t, s.m.memberID)
	require.EqualValues(t, -1, s.m.generation)
}

func TestMembership_RefusalsOfAnEarlierGenerationAreNoNews(t *testing.T) {
	runScript(t, "", toStable+`
late refused UNKNOWN_MEMBER_ID => => stable
refused REBALANCE_IN_PROGRESS => give up => giving up partitions
refused REBALANCE_IN_PROGRESS => => giving up partitions
given-up => join => joining
refused ILLEGAL_GENERATION => => joining`)
	runScript(t, "", toStable+"refused ILLEGAL_GENERATION => lose all => giving up partitions\ngiven-up => join => joining")
}

func TestMembership_AnErrorThatIsToldEndsWithASuccess(t *testing.T) {
	runScript(t, "", toStable+`
+3s => beat => stable
beat GROUP_AUTHORIZATION_FAILED => tell => stable
+3s => beat => stable
beat => tell ok => stable
+3s => beat => stable
beat => => stable`)
}

func TestMembership_CommitsWaitForAGenerationThatLasts(t *testing.T) {
	for state, lines := range inEachState {
		s := runScript(t, "", lines)
		require.Equal(t, state != "joining" && state != "syncing", s.m.settled(), state)
	}
	s := runScript(t, "", toStable+"refused UNKNOWN_MEMBER_ID => lose all => giving up partitions")
	require.False(t, s.m.settled(), "as whom?")
	s = runScript(t, "", toStable+"idle-polls => give up all => leaving\ngiven-up => leave a => leaving")
	require.True(t, s.m.settled(), "no use in waiting for the next poll")
}
