#!/usr/bin/env escript
%%! +S 1 -noshell
%% Runs scenarios.txt with Erlang/OTP's own supervisor and prints what happened, one line for each thing.
%%
%% One process, the tracer, hears of every start from the start function, and of every end from a monitor. Before it
%% writes a start it takes the ends that are on their way, so that the order is the order of causes.
-mode(compile).
-export([init/1, start/2, loop/1]).

main([File]) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    {ok, Bytes} = file:read_file(File),
    Lines = [Line || Line <- string:split(binary_to_list(Bytes), "\n", all), Line =/= "", hd(Line) =/= $#],
    lists:foreach(fun run/1, scenarios([string:lexemes(Line, " ") || Line <- Lines])).

scenarios([]) -> [];
scenarios([["scenario", Name] | Rest]) ->
    {Body, More} = lists:splitwith(fun([Word | _]) -> Word =/= "scenario" end, Rest),
    [{Name, Body} | scenarios(More)].

run({Name, Body}) ->
    io:format("== ~s~n", [Name]),
    ets:new(attempts, [named_table, public]),
    ets:new(specs, [named_table, public, ordered_set]),
    register(tracer, spawn_link(fun() -> trace(#{}) end)),
    ["strategy", Strategy, Max, Period | Auto] = hd([Line || ["strategy" | _] = Line <- Body]),
    Children = [{Path, Restart, options(Options)} || ["child", Path, Restart | Options] <- Body],
    Template = [Restart || ["template", Restart] <- Body],
    Flags = flags(Strategy, Max, Period, Auto),
    Specs = case Template of
        [Restart] -> [(spec("template", Restart, []))#{start => {?MODULE, start, []}}];
        [] -> tree("", Children)
    end,
    Top = supervisor:start_link(?MODULE, {Flags, Specs}),
    settle(Top),
    show(Top),
    [step(Top, Strategy, Step) || [">" | Step] <- Body],
    call(stop),
    finish(Top),
    ets:delete(attempts),
    ets:delete(specs).

finish({ok, Top}) ->
    unlink(Top),
    case is_process_alive(Top) of
        true -> exit(Top, kill), timer:sleep(20);
        false -> ok
    end;
finish(_) -> ok.

flags(Strategy, Max, Period, Auto) ->
    Shutdown = case Auto of
        [] -> never;
        ["auto=any"] -> any_significant;
        ["auto=all"] -> all_significant
    end,
    Named = case Strategy of "dynamic" -> simple_one_for_one; _ -> list_to_atom(Strategy) end,
    #{strategy => Named, intensity => list_to_integer(Max), period => list_to_integer(Period), auto_shutdown => Shutdown}.

%% Children of one supervisor: those with this prefix and no further slash.
tree(Prefix, Children) ->
    Mine = [Child || {Path, _, _} = Child <- Children, filename_dir(Path) =:= Prefix],
    [spec(Path, Restart, with_tree(Path, Options, Children)) || {Path, Restart, Options} <- Mine].

with_tree(Path, Options, Children) ->
    case lists:keyfind(supervisor, 1, Options) of
        false -> Options;
        {supervisor, [Strategy, Max, Period]} ->
            [{tree, {flags(Strategy, Max, Period, []), tree(Path, Children)}} | Options]
    end.

filename_dir(Path) ->
    case string:split(Path, "/") of [_] -> ""; [Dir, _] -> Dir end.

options(Words) -> [option(string:split(Word, "=")) || Word <- Words].

option(["supervisor", Value]) -> {supervisor, string:lexemes(Value, ",")};
option(["fails", Value]) ->
    [First, Last] = string:lexemes(Value, "-"),
    {fails, {list_to_integer(First), list_to_integer(Last)}};
option(["shutdown", "brutal"]) -> {shutdown, brutal_kill};
option(["shutdown", "infinity"]) -> {shutdown, infinity};
option(["shutdown", Ms]) -> {shutdown, list_to_integer(Ms)};
option(["stubborn"]) -> stubborn;
option(["significant"]) -> significant.

spec(Path, Restart, Options) ->
    IsTree = lists:keymember(tree, 1, Options),
    Default = case IsTree of true -> infinity; false -> 5000 end,
    #{id => Path,
      start => {?MODULE, start, [Path, Options]},
      restart => list_to_atom(Restart),
      significant => lists:member(significant, Options),
      shutdown => proplists:get_value(shutdown, Options, Default),
      type => case IsTree of true -> supervisor; false -> worker end}.

init({Flags, Specs}) -> {ok, {Flags, Specs}}.

%% Runs in the supervisor.
start(Path, Options) ->
    Attempt = ets:update_counter(attempts, Path, 1, {Path, 0}),
    case proplists:get_value(fails, Options, {0, 0}) of
        {First, Last} when Attempt >= First, Attempt =< Last ->
            call({line, ["fail ", Path]}),
            {error, told_to};
        _ -> started(Path, Options)
    end.

started(Path, Options) ->
    Started = case proplists:get_value(tree, Options) of
        undefined -> {ok, spawn_link(?MODULE, loop, [lists:member(stubborn, Options)])};
        Tree -> supervisor:start_link(?MODULE, Tree)
    end,
    case Started of
        {ok, Pid} -> call({start, Path, Pid});
        {error, _} -> call({line, ["fail ", Path]})
    end,
    Started.

loop(Stubborn) ->
    process_flag(trap_exit, Stubborn),
    receive
        crash -> exit(boom);
        stop -> exit(normal);
        shut -> exit(shutdown);
        {'EXIT', _, _} -> loop(Stubborn)
    end.

step(Top, Strategy, [Verb | Arguments] = Step) ->
    io:format("> ~s~n", [lists:join(" ", Step)]),
    Result = do(Verb, Top, Strategy, Arguments),
    settle(Top),
    answer(Result),
    show(Top).

do("wait", _, _, [Ms]) -> timer:sleep(list_to_integer(Ms)), none;
do("shutdown", {ok, Top}, _, []) ->
    Monitor = monitor(process, Top),
    exit(Top, shutdown),
    receive {'DOWN', Monitor, _, _, _} -> none end;
do("start", {ok, Top}, "dynamic", [Id | Options]) -> supervisor:start_child(Top, [Id, options(Options)]);
do("start", {ok, Top}, _, [Id, Restart | Options]) -> supervisor:start_child(Top, spec(Id, Restart, options(Options)));
do("terminate", {ok, Top}, "dynamic", [Id]) -> supervisor:terminate_child(Top, call({pid, Id}));
do("terminate", {ok, Top}, _, [Id]) -> supervisor:terminate_child(Top, Id);
do("restart", {ok, Top}, _, [Id]) -> supervisor:restart_child(Top, Id);
do("delete", {ok, Top}, _, [Id]) -> supervisor:delete_child(Top, Id);
do("kill", _, _, Paths) -> [exit(call({pid, Path}), kill) || Path <- Paths], none;
do(Verb, _, _, Paths) -> [call({pid, Path}) ! list_to_atom(Verb) || Path <- Paths], none.

answer(none) -> ok;
answer(ok) -> io:format("ok~n");
answer({ok, _}) -> io:format("ok~n");
answer({error, Reason}) -> io:format("refused: ~s~n", [named(Reason)]).

named(not_found) -> "not found";
named(already_present) -> "already present";
named({already_started, _}) -> "already started";
named(running) -> "running";
named(restarting) -> "restarting";
named(simple_one_for_one) -> "dynamic";
named({bad_combination, _}) -> "invalid";
named({invalid_significant, _}) -> "invalid";
named(told_to) -> "start failed";
named({told_to, _}) -> "start failed";
named(Other) -> io_lib:format("~p", [Other]).

%% Wait until the supervisor answers and nothing happens any more.
settle({ok, Top}) ->
    catch supervisor:which_children(Top),
    timer:sleep(30),
    catch supervisor:which_children(Top),
    call(flush);
settle(_) -> call(flush).

show({error, _}) -> io:format("= did not start~n");
show({ok, Top}) ->
    case is_process_alive(Top) of
        false -> io:format("= gone~n");
        true ->
            Shown = [[name(Id, Child), ":", status(Child)] || {Id, Child, _, _} <- lists:reverse(supervisor:which_children(Top))],
            Ordered = case Shown of [["r" ++ _ | _] | _] -> lists:sort(Shown); _ -> Shown end,
            Count = supervisor:count_children(Top),
            [Specs, Active, Sups, Workers] = [proplists:get_value(Key, Count) || Key <- [specs, active, supervisors, workers]],
            Known = case Ordered of [["r" ++ _ | _] | _] -> Workers; [] -> Workers; _ -> Specs end,
            io:format("= ~s~n", [lists:join(" ", Ordered ++ [io_lib:format("(~b ~b ~b ~b)", [Known, Active, Sups, Workers])])])
    end.

name(undefined, Pid) -> call({path, Pid});
name(Id, _) -> Id.

status(undefined) -> "down";
status(restarting) -> "restarting";
status(_) -> "up".

%% The tracer.
call(Request) ->
    Monitor = monitor(process, tracer),
    tracer ! {self(), Monitor, Request},
    receive
        {Monitor, Answer} -> demonitor(Monitor, [flush]), Answer;
        {'DOWN', Monitor, _, _, Reason} -> exit({tracer, Reason})
    end.

trace(Pids) ->
    receive
        {'DOWN', _, process, Pid, Reason} -> trace(down(Pid, Reason, Pids));
        {From, Ref, Request} ->
            Known = ends(Pids),
            {Answer, Next} = request(Request, Known),
            From ! {Ref, Answer},
            case Answer of stopped -> unregister(tracer), unlink(From); _ -> trace(Next) end
    end.

request({start, Path, Pid}, Pids) ->
    io:format("start ~s~n", [Path]),
    monitor(process, Pid),
    {ok, Pids#{Pid => Path, Path => Pid}};
request({line, Line}, Pids) -> io:format("~s~n", [Line]), {ok, Pids};
request({pid, Path}, Pids) -> {maps:get(Path, Pids, undefined), Pids};
request({path, Pid}, Pids) -> {maps:get(Pid, Pids), Pids};
request(flush, Pids) -> {ok, Pids};
request(stop, Pids) -> {stopped, Pids}.

%% The ends that are on their way.
ends(Pids) ->
    receive {'DOWN', _, process, Pid, Reason} -> ends(down(Pid, Reason, Pids)) after 3 -> Pids end.

down(Pid, Reason, Pids) ->
    io:format("exit ~s ~s~n", [maps:get(Pid, Pids), reason(Reason)]),
    Pids.

reason(boom) -> "crash";
reason({shutdown, _}) -> "shutdown";
reason(Reason) -> atom_to_list(Reason).
