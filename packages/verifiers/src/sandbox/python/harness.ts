import { DETAILS_LIMIT, MESSAGE_LIMIT } from '../limits.js';

/**
 * Runs once in each interpreter and leaves `check`, `load` and `grade` in its namespace, each from text to JSON text.
 * They never raise. The modules imported here and below are part of every snapshot, so graders import them for free.
 */
export const HARNESS = `
import sys
sys.ps1 = ''
import ast, importlib.util, inspect, json, linecache, traceback, types
import bisect, collections, copy, dataclasses, datetime, decimal, difflib, enum, fractions, functools, hashlib, heapq
import io, itertools, math, operator, os, random, re, statistics, string, textwrap, time, typing, unicodedata

FILE = 'grader.py'
grader = None


def answer(**fields):
    return json.dumps(fields)


def cut(text, limit):
    return text if len(text) <= limit else text[: limit // 2] + ' [...] ' + text[-limit // 2 :]


def failure(kind, message, details=None):
    return answer(kind=kind, message=cut(message, ${MESSAGE_LIMIT}), details=details and cut(details, ${DETAILS_LIMIT}))


def raised(kind, error):
    try:
        if kind == 'definition' and isinstance(error, ModuleNotFoundError) and isinstance(error.name, str):
            return failure(kind, missing_module(error.name, None), trace(error))
        message = ''.join(traceback.format_exception_only(error)).strip().splitlines()[-1]
        if isinstance(error, MemoryError):
            kind, message = 'memory', 'The grader used up its memory.'
        return failure(kind, message, trace(error))
    except BaseException:
        return failure(kind, 'The grader raised an exception that cannot be shown.')


def trace(error):
    # The first frame is this file's own.
    frames = error.__traceback__
    return ''.join(traceback.format_exception(type(error), error, frames and frames.tb_next, limit=-40)).strip()


def missing_module(name, line):
    where = '' if line is None else f'Line {line}: '
    return (
        f"{where}No module named '{name}'. Graders have the standard library of Python "
        f'{sys.version_info.major}.{sys.version_info.minor} without threads, processes and the network, and no other packages.'
    )


def installed(name):
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


# Python files without what they stand on.
UNAVAILABLE = {'ctypes', 'multiprocessing', 'pyodide', '_pyodide'}


def missing_imports(tree):
    """The modules that the source imports and that are not there, except where it is ready for that."""
    guarded = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and node.handlers:
            for statement in node.body:
                guarded.update(id(inner) for inner in ast.walk(statement))
    for node in ast.walk(tree):
        if id(node) in guarded: continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        else:
            continue
        for name in names:
            root = name.partition('.')[0]
            if root in UNAVAILABLE or not installed(root):
                yield node.lineno, root


def parse(source):
    """-> (code, None) or (None, failure)"""
    try:
        tree = ast.parse(source, FILE)
        for line, name in missing_imports(tree):
            return None, failure('definition', missing_module(name, line))
        return compile(tree, FILE, 'exec', dont_inherit=True), None
    except SyntaxError as error:
        return None, failure('definition', f'Line {error.lineno}: {error.msg}.', ''.join(traceback.format_exception_only(error)))
    except MemoryError:
        return None, failure('definition', 'The source is nested too deeply for the parser.')
    except (ValueError, RecursionError, OverflowError) as error:
        return None, failure('definition', f'The source cannot be compiled: {error}.')


HOW = 'Define grade(sample, item) that takes two positional arguments and returns a number.'


def signature_problem(function):
    if function is None: return f'The source defines no grade. {HOW}'
    if not callable(function): return f'grade is not a function. {HOW}'
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return f'grade is an async function, and graders are not awaited. {HOW}'
    if inspect.isgeneratorfunction(function): return f'grade is a generator. {HOW}'
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind({}, {})
    except TypeError:
        return f'grade{signature} cannot be called with two positional arguments. {HOW}'
    return None


def load(source):
    global grader
    code, problem = parse(source)
    if problem is not None: return problem
    try:
        module = types.ModuleType('grader')
        module.__file__ = FILE
        sys.modules['grader'] = module
        linecache.cache[FILE] = (len(source), None, source.splitlines(True), FILE)
        exec(code, module.__dict__)
        grader = module.__dict__.get('grade')
        problem = signature_problem(grader)
        flush()
        return answer(kind='ok') if problem is None else failure('definition', problem)
    except BaseException as error:
        return raised('definition', error)


def grade(text):
    try:
        given = json.loads(text)
    except MemoryError:
        return failure('memory', 'The answer and its row do not fit into the memory of the grader.')
    except BaseException as error:
        return raised('runtime', error)
    try:
        value = grader(given['sample'], given['item'])
        flush()
        if not isinstance(value, (int, float)):
            kind = type(value).__name__
            hint = ' Write return before the value.' if value is None else ''
            return failure('runtime', f'grade returned a value of type {kind}, not a number.{hint}')
        value = float(value)
        if not math.isfinite(value):
            return failure('runtime', f'grade returned {value}, not a finite number.')
        return answer(kind='ok', reward=value)
    except BaseException as error:
        flush()
        return raised('runtime', error)


def flush():
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        pass
`;

/**
 * Built-in modules that are taken out of the interpreter: the bridge to JavaScript, raw memory, and CPython's own test
 * modules. The network's stay, since much of the standard library imports them; there is no network behind them.
 */
export const REMOVED_MODULES = [
  '_ctypes',
  '_posixsubprocess',
  '_pyodide_core',
  '_remote_debugging',
  '_testbuffer',
  '_testcapi',
  '_testclinic',
  '_testclinic_limited',
  '_testinternalcapi',
  '_testlimitedcapi',
  '_xxtestfuzz',
  'xxsubtype',
] as const;
