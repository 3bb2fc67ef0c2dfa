"""The rules for what plays: queueing, the playlist, what is on, and playlists saved in the bot's account.

Each row is as seen on a running CyTube 3.86, or read in its source. The server looks up what is queued one
after another, and deleting and moving wait behind that, so their answers may take long.
"""

from __future__ import annotations

from typing import Any

from rosey_core import actions as do
from rosey_core import events as ev
from rosey_core.actions import Outcome
from rosey_core.cytube.rule import LIST, LOCK, QUEUE, Frame, Room, Rule, done, never, one, plain, same
from rosey_core.media import LIVE_TYPES

TOO_FAST = "You are adding videos too quickly"

_TITLED = frozenset({"fi", "cu"})
_RENAMED = frozenset({"cu", "yp", "pt", "bn", "od", "nv"})
"""Types whose item may come back under another id: a hash, the list's videos, a longer form."""
_TYPE_NODES = {
    "yp": "playlistaddlist",
    "cu": "playlistaddcustom",
    "fi": "playlistaddrawfile",
    "cm": "playlistaddrawfile",
}


def _queue_frame(action: do.QueueMedia) -> tuple[Frame, ...]:
    # CyTube refuses a key with null, so what is absent is left out.
    payload = {"id": action.id, "type": action.type, "pos": action.position, "temp": action.temp}
    if action.title is not None and action.type in _TITLED:
        payload["title"] = action.title
    if action.duration is not None and action.type in LIVE_TYPES:
        payload["duration"] = action.duration
    return one("queue", payload)


def _queue_nodes(action: do.QueueMedia) -> tuple[str, ...]:
    nodes = ["playlistnext"] if action.position == "next" else []
    if action.type in _TYPE_NODES:
        nodes.append(_TYPE_NODES[action.type])
    if action.type in LIVE_TYPES:
        nodes.append("playlistaddlive")
    return tuple(nodes)


def _queued(action: do.QueueMedia, me: str, data: ev.Data) -> Outcome | None:
    match data:
        case ev.MediaQueued() if same(data.item.queued_by, me):
            media = data.item.media
            if media.id == action.id or action.type in _RENAMED:
                return Outcome("done", result={"uid": data.item.uid})
        case ev.MediaQueueFailed() if data.id == action.id or (not data.id and action.id in (data.link or action.id)):
            return Outcome("refused", data.reason or "CyTube gave no reason")
        case _:
            pass
    return None


def _saved_queued(action: do.QueueSaved, me: str, data: ev.Data) -> Outcome | None:  # noqa: ARG001  the form
    match data:
        case ev.MediaQueued() if same(data.item.queued_by, me):
            return Outcome("done", result={"uid": data.item.uid})
        case ev.MediaQueueFailed():
            return Outcome("refused", data.reason or "CyTube gave no reason")
        case _:
            return None


def _unmovable(action: do.MoveMedia, room: Room) -> str:
    """CyTube loses an item that is moved behind one that does not exist."""
    for uid in (action.uid, action.after):
        if not isinstance(uid, str) and uid not in room.playlist:
            return f"there is no item {uid} in the playlist"
    return f"item {action.uid} can't be moved behind itself" if action.uid == action.after else ""


def _absent(uid: int, room: Room) -> str:
    """CyTube does not answer about an item that does not exist."""
    return f"there is no item {uid} in the playlist" if room.can("seeplaylist") and uid not in room.playlist else ""


def _unsteerable(action: do.SyncMedia, room: Room) -> str:
    """CyTube ignores who does not lead, and what does not play."""
    if not room.me or not same(room.leader, room.me):
        return "only the leader steers playback, and the bot is not the leader"
    if room.media is None or room.media.id != action.id:
        return f"{action.id} does not play now"
    return "live media can't be steered" if room.media.type in LIVE_TYPES else ""


def _synced(action: do.SyncMedia, me: str, data: ev.Data) -> Outcome | None:  # noqa: ARG001  the form
    return done(
        isinstance(data, ev.MediaSynced) and data.paused == action.paused and abs(data.time - action.time) < 0.01
    )


_NO_DATABASE = "user playlist|Database error|not allowed to save"


def _is_saved(title: str, data: ev.Data) -> bool | None:
    """Whether a saved playlist of that title is listed. CyTube keeps a `?` for each character beyond 16 bits."""
    if not isinstance(data, ev.PlaylistSaved):
        return None
    title = "".join("?" if char > "\uffff" else char for char in title)
    return any(one.name == title for one in data.playlists)


PROGRAMME: tuple[Rule[Any], ...] = (
    Rule(
        action=do.QueueMedia,
        frames=_queue_frame,
        confirm=_queued,
        needs=("playlistadd",),
        also=_queue_nodes,
        kind=QUEUE,
        limit="queue",
        timeout=40,  # the server looks each item up, one after another, for up to 30 s
    ),
    Rule(
        action=do.QueueSaved,
        frames=lambda a: one("queuePlaylist", {"name": a.title, "pos": a.position, "temp": a.temp}),
        confirm=_saved_queued,
        needs=("playlistaddlist",),
        also=lambda a: ("playlistnext",) if a.position == "next" else (),
        rank=1,
        kind=QUEUE,
        timeout=10,
        errors="^Playlist load failed",
    ),
    Rule(
        action=do.DeleteMedia,
        frames=lambda a: one("delete", a.uid),
        confirm=lambda a, _, data: done(isinstance(data, ev.MediaDeleted) and data.uid == a.uid),
        needs=("playlistdelete",),
        unfit=lambda a, room: _absent(a.uid, room),
        kind=LIST,
        timeout=10,  # it waits behind look-ups
    ),
    Rule(
        action=do.MoveMedia,
        frames=lambda a: one("moveMedia", {"from": a.uid, "after": a.after}),
        confirm=lambda a, _, data: done(
            isinstance(data, ev.MediaMoved) and data.uid == a.uid and data.after == a.after
        ),
        needs=("playlistmove",),
        unfit=_unmovable,
        kind=LIST,
        alone=True,  # a delete under way may be of the very item that it is moved behind
        timeout=10,
    ),
    Rule(
        action=do.JumpTo,
        frames=lambda a: one("jumpTo", a.uid),
        confirm=lambda a, _, data: done(isinstance(data, ev.PlaylistCurrent) and data.uid == a.uid),
        needs=("playlistjump",),
        unfit=lambda a, room: _absent(a.uid, room),
        kind=LIST,
    ),
    Rule(
        action=do.PlayNext,
        frames=lambda _: one("playNext"),
        confirm=lambda _, __, data: done(isinstance(data, ev.MediaPlayed)),
        needs=("playlistjump",),
        kind=LIST,
    ),
    Rule(
        action=do.SetTemp,
        frames=lambda a: one("setTemp", {"uid": a.uid, "temp": a.temp}),
        confirm=lambda a, _, data: done(
            isinstance(data, ev.MediaTempChanged) and data.uid == a.uid and data.temp == a.temp
        ),
        needs=("settemp",),
        unfit=lambda a, room: _absent(a.uid, room),
        kind=LIST,
    ),
    Rule(
        action=do.SyncMedia,
        frames=lambda a: one("mediaUpdate", {"id": a.id, "currentTime": a.time, "paused": a.paused, "type": a.type}),
        confirm=_synced,
        unfit=_unsteerable,
        kind=LIST,
    ),
    Rule(
        action=do.RefreshMedia,
        frames=lambda _: one("playerReady"),
        confirm=lambda _, __, data: done(isinstance(data, ev.MediaPlayed)),
        kind=LIST,
    ),
    Rule(
        action=do.SearchMedia,
        frames=lambda a: one("searchMedia", {"query": a.query, "source": a.source}),
        confirm=lambda _, __, data: (
            Outcome("done", result={"source": data.source, "results": plain(data.results)})
            if isinstance(data, ev.MediaFound)
            else None
        ),
        kind="search",
        timeout=15,  # YouTube is asked; when that fails, CyTube does not answer
    ),
    Rule(
        action=do.UncacheMedia,
        frames=lambda a: one("uncache", {"id": a.id}),
        confirm=never,
        needs=("deletefromchannellib",),
        kind="library",
        silent=True,
    ),
    Rule(
        action=do.ClearPlaylist,
        frames=lambda _: one("clearPlaylist"),
        confirm=lambda _, __, data: done(isinstance(data, ev.PlaylistLoaded) and not data.items),
        needs=("playlistclear",),
        kind=LIST,
    ),
    Rule(
        action=do.ShufflePlaylist,
        frames=lambda _: one("shufflePlaylist"),
        confirm=lambda _, __, data: done(isinstance(data, ev.PlaylistLoaded) and data.page == data.pages),
        needs=("playlistshuffle",),
        kind=LIST,
    ),
    Rule(
        action=do.LockPlaylist,
        frames=lambda _: one("togglePlaylistLock"),
        confirm=lambda a, _, data: done(isinstance(data, ev.PlaylistLocked) and data.locked == a.locked),
        needs=("playlistlock",),
        already=lambda a, room: room.locked == a.locked,
        kind=LOCK,
    ),
    Rule(
        action=do.RequestPlaylist,
        frames=lambda _: one("requestPlaylist"),
        confirm=lambda _, __, data: (
            Outcome("refused", data.text)
            if isinstance(data, ev.ErrorMessage) and data.code == "REQ_PLAYLIST_LIMIT_REACHED"
            else done(isinstance(data, ev.PlaylistLoaded) and data.page == data.pages)
        ),
        needs=("seeplaylist",),
        kind=LIST,
    ),
    Rule(
        action=do.ListSaved,
        frames=lambda _: one("listPlaylists"),
        confirm=lambda _, __, data: (
            Outcome("done", result={"playlists": plain(data.playlists)})
            if isinstance(data, ev.PlaylistSaved)
            else None
        ),
        rank=1,
        kind="saved",
        errors=_NO_DATABASE,
    ),
    Rule(
        action=do.SavePlaylist,
        frames=lambda a: one("clonePlaylist", {"name": a.title}),
        confirm=lambda a, _, data: done(_is_saved(a.title, data) is True),
        needs=("seeplaylist",),
        rank=1,
        kind="saved",
        errors=_NO_DATABASE,
    ),
    Rule(
        action=do.DeleteSaved,
        frames=lambda a: one("deletePlaylist", {"name": a.title}),
        confirm=lambda a, _, data: done(_is_saved(a.title, data) is False),
        rank=1,
        kind="saved",
        errors=_NO_DATABASE,
    ),
)
