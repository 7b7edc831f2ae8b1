package reference

import (
	"time"

	"github.com/millrace-stream/millrace"
	"github.com/millrace-stream/millrace/agg"
	"github.com/millrace-stream/millrace/connect/file"
	"github.com/millrace-stream/millrace/window"
)

// action is what somebody did on GitHub.
type action struct {
	Type  string `json:"type"`
	Actor struct {
		ID int64 `json:"id"`
	} `json:"actor"`
	Repo struct {
		ID int64 `json:"id"`
	} `json:"repo"`
	Size    int64     `json:"size"` // null leaves it 0
	Created time.Time `json:"created_at"`
}

func (a action) kind() string { return a.Type }
func (a action) actor() int64 { return a.Actor.ID }
func (a action) repo() int64  { return a.Repo.ID }
func (a action) size() int64  { return a.Size }

var githubInput = input{file: "github_events_800.jsonl.gz", records: 800, epoch: 50, lateness: 3 * time.Second}

func actions(j *millrace.Job, path string) millrace.Stream[action] {
	return j.From("actions", file.JSONL[action](path),
		millrace.EventTime(func(a action) time.Time { return a.Created }).OutOfOrderness(githubInput.lateness))
}

var githubQueries = []Query{
	{"g1_tumbling_10m_type", &githubInput, func(j *millrace.Job, path string) outputs {
		return perKey(actions(j, path).KeyByRef((*action).kind).Window(window.Tumbling(10*time.Minute)).
			Aggregate("per-type", join3(count[action](), column(agg.Sum(action.size)), column(agg.CountDistinct(action.actor)))))
	}},
	{"g2_session_5s_repo", &githubInput, func(j *millrace.Job, path string) outputs {
		return perKey(actions(j, path).KeyByRef((*action).repo).Window(window.Session(5*time.Second)).
			Aggregate("bursts", count[action]()))
	}},
	{"g3_top5_repo_1h", &githubInput, func(j *millrace.Job, path string) outputs {
		return ranked(actions(j, path).KeyByRef((*action).repo).Window(window.Tumbling(time.Hour)).
			Aggregate("per-repo", agg.Count[action]()), 5, time.Hour)
	}},
}
